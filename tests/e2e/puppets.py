"""Programs under `tulle run` that do what the test says (`programs/puppet.py`), and what their sidecars count."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any

from running import Mesh, Running, command_line, program_of, wait_for


class Puppet:
    """A program of the mesh. `do` runs a piece of Python in it, and gives what that puts into `result`."""

    def __init__(self, running: Running, door: Path) -> None:
        self.running = running
        self._door = door

    @cached_property
    def proxy(self) -> str:
        return str(self.do("result = os.environ['TULLE_INSTANCE']"))

    @cached_property
    def port(self) -> int:
        """What $PORT says."""
        return int(self.do("result = os.environ['PORT']"))

    @property
    def pid(self) -> int:
        return program_of(self.running, "puppet.py")

    def do(self, code: str, seconds: float = 60) -> Any:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(seconds)
            connection.connect(str(self._door))
            connection.sendall(code.encode())
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        said = json.loads(answer)
        assert "error" not in said, f"{said['error']}\n{self.running.output}"
        return said["result"]

    def get(self, url: str) -> tuple[int, str]:
        status, body = self.do(f"result = get({url!r})")
        return status, body

    def is_there(self) -> bool:
        """Whether the program can be told anything."""
        try:
            return bool(self.do("result = True"))
        except OSError:
            assert self.running.process.poll() is None, self.running.output
            return False


def puppet(mesh: Mesh, service: str, *options: str, **env: str) -> Puppet:
    """One that runs. options: of `tulle run`."""
    (made,) = puppets(mesh, (service, *options), **env)
    return made


def puppets(mesh: Mesh, *words: tuple[str, ...], **env: str) -> list[Puppet]:
    """One for each service with its options, started at the same time."""
    made = [Puppet(*started(mesh, *each, **env)) for each in words]
    for each in made:
        wait_for(f"the program of {each.running.name} runs", each.is_there)
    return made


def started(mesh: Mesh, service: str, *options: str, **env: str) -> tuple[Running, Path]:
    """One that may not come to run, and its Unix socket."""
    # Not in the test's own folder, whose path may be too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="puppet-"))
    folder.chmod(0o755)
    mesh.at_end(lambda: shutil.rmtree(folder, ignore_errors=True))
    running = mesh.run(service, "puppet.py", str(folder / "door"), options=options, **env)
    return running, folder / "door"


def counted(mesh: Mesh, proxy: str, name: str) -> int:
    """What the sidecar's Envoy has counted, over all statistics whose name ends so."""
    folder = os.open(mesh.data / "proxies" / proxy, os.O_RDONLY)
    try:
        (admin,) = [entry for entry in os.listdir(folder) if entry.startswith("admin") and entry.endswith(".sock")]
        with closing(http.client.HTTPConnection("envoy")) as connection, socket.socket(socket.AF_UNIX) as unix:
            unix.connect(f"/proc/self/fd/{folder}/{admin}")
            connection.sock = unix
            connection.request("GET", f"/stats?filter={name}$")
            text = connection.getresponse().read().decode()
    finally:
        os.close(folder)
    return sum(int(line.rpartition(":")[2]) for line in text.splitlines() if line)


def reaper_of(running: Running) -> int:
    return next(_below(running, "reaper.py"))


def _below(running: Running, words: str) -> Iterator[int]:
    for task in Path(f"/proc/{running.pid}/task").glob("*/children"):
        for child in task.read_text().split():
            if words in command_line(int(child)):
                yield int(child)
