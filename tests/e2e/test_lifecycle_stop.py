"""How a workload ends when it is asked to: out of rotation, its last call and session ended, then SIGTERM."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from modes import MODES, skip_unless_possible
from puppets import Puppet, puppet
from running import Mesh, Running, wait_for

TRANSPARENT = [mode for mode in MODES if mode != "proxy"]
# The server speaks first, and ends its sessions when it is told to end.
DATABASE = """
import signal, socketserver, sys
class Session(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"hello\\n")
        for line in self.rfile:
            self.wfile.write(line)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
signal.signal(signal.SIGTERM, lambda *_: (print("told to end", flush=True), sys.exit(0)))
Server(("127.0.0.1", int(sys.argv[1])), Session).serve_forever()
"""


class Session:
    """Of a program with the database; the port is the service's."""

    def __init__(self, client: Puppet, name: str) -> None:
        self._client, self._name = client, name
        self.hello = client.do(
            f"import socket\n{name} = socket.create_connection(('db', 5432), 30)\n"
            f"{name}_lines = {name}.makefile('rb')\nresult = {name}_lines.readline().decode()"
        )

    def ask(self) -> str:
        name = self._name
        return str(self._client.do(f"{name}.sendall(b'query\\n'); result = {name}_lines.readline().decode()"))

    def close(self) -> None:
        self._client.do(f"{self._name}_lines.close(); {self._name}.close()")


def database(mesh: Mesh, mode: str, *options: str) -> Running:
    command = (sys.executable, "-c", DATABASE)
    port = 10_000 + len(mesh.running) * 7 + sum(map(ord, str(mesh.folder))) % 7000
    running = mesh.run("db", *command, str(port), options=("--capture", mode, "--port", f"5432:{port}", *options))
    wait_for("the database is healthy", lambda: "is healthy" in running.output or running.process.poll() is not None)
    return running


@pytest.mark.parametrize("mode", TRANSPARENT)
def test_a_session_with_a_database_counts_as_a_call_in_flight(mesh: Mesh, mode: str) -> None:
    """It is waited for as long as --drain says, and no longer."""
    skip_unless_possible(mode)
    mesh.up()
    patient = database(mesh, mode, "--drain", "60s")
    wait_for("it is in rotation", lambda: mesh.healthy("db") == 1)
    client = puppet(mesh, "service-a", "--capture", mode)
    session = Session(client, "first")
    assert session.hello == "hello\n"
    hurried = database(mesh, mode, "--drain", "1s")
    wait_for("both are in rotation", lambda: mesh.healthy("db") == 2)
    patient.signal(signal.SIGTERM)
    wait_for("one is out of rotation", lambda: mesh.healthy("db") == 1)
    second = Session(client, "second")
    for _ in range(3):  # with time enough between them for an impatient end
        assert (session.ask(), second.ask()) == ("query\n", "query\n")
        wait_for("the control plane answers", lambda: mesh.json("status"))
    assert "told to end" not in patient.output
    session.close()
    assert patient.wait() == 0, patient.output
    assert "told to end" in patient.output
    assert second.ask() == "query\n"
    hurried.signal(signal.SIGTERM)
    assert hurried.wait() == 0, hurried.output
    assert "still in flight" in hurried.output


def test_a_program_that_does_not_end_is_killed_after_its_grace(mesh: Mesh, mode: str) -> None:
    """And so is what it has started, in whatever session that is."""
    mesh.up()
    program = puppet(mesh, "service-a", "--capture", mode, "--drain", "1s", "--grace", "1s")
    daemon = program.do("import time\nresult = os.fork()\nif result == 0: os.setsid(); time.sleep(600)")
    ignoring = mesh.run(
        "service-b",
        *("sh", "-c", 'trap "" TERM; setsid sleep 600 & echo deaf; while :; do sleep 1; done'),
        options=("--capture", mode, "--drain", "1s", "--grace", "1s"),
    )
    wait_for("it runs", lambda: "deaf" in ignoring.output)
    assert ignoring.stop() == 128 + signal.SIGKILL
    assert "killing it" in ignoring.output
    assert program.running.stop() == 0
    assert not Path(f"/proc/{daemon}").exists()
