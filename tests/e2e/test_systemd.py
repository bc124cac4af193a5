"""What `tulle run --systemd` prints runs the same service: from its folder, with its variables and nothing else."""

from __future__ import annotations

import shlex
import signal
import socket
import sys
from collections.abc import Iterator

from running import DEADLINE, PROGRAMS, Mesh, Running, command_line, program_of, wait_for


def settings(unit: str, name: str) -> list[str]:
    return [line.partition("=")[2] for line in unit.splitlines() if line.startswith(f"{name}=")]


def test_the_units_command_makes_a_healthy_instance_and_ends_when_it_is_told_to(mesh: Mesh) -> None:
    mesh.up()
    program = (sys.executable, str(PROGRAMS / "server.py"), "it's 100% $b")
    options = ("--label", "note=a_b", "--drain", "1s")
    printed = mesh.tulle("run", "service-b", *options, "--systemd", "--", *program)
    assert (printed.returncode, printed.stderr) == (0, "")
    assert mesh.service("service-b") is None

    unit = printed.stdout
    [command], [folder] = settings(unit, "ExecStart"), settings(unit, "WorkingDirectory")
    words = [word.replace("$$", "$").replace("%%", "%") for word in shlex.split(command)]
    environment = dict(shlex.split(line)[0].split("=", 1) for line in settings(unit, "Environment"))
    running = Running("unit", ["env", "-C", folder, *words], mesh.folder / "unit.log", environment)
    mesh.running.append(running)
    wait_for("it is healthy", lambda: mesh.healthy("service-b"))
    service = mesh.service("service-b")
    assert service and service["instances"][0]["labels"] == {"note": "a_b"}
    assert "/server.py it's 100% $b " in command_line(program_of(running))

    assert running.stop() == 128 + signal.SIGTERM
    assert str(128 + signal.SIGTERM) in settings(unit, "SuccessExitStatus")[0].split()


def test_systemd_is_told_when_the_instance_is_healthy_and_when_it_ends(mesh: Mesh) -> None:
    mesh.up()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(mesh.folder / "notify"))
        manager.settimeout(DEADLINE)
        notify = str(mesh.folder / "notify")
        running = mesh.run("service-b", "server.py", NOTIFY_SOCKET=notify, WATCHDOG_USEC="2000000")
        said = messages(manager)
        assert any(line.startswith("STATUS=calls of the program are captured by") for line in said)
        assert "READY=1" in said
        wait_for("the mesh knows it as well", lambda: mesh.healthy("service-b"))
        assert "WATCHDOG=1" in said
        running.signal(signal.SIGTERM)
        assert "STOPPING=1" in said
        running.wait()


def messages(manager: socket.socket) -> Iterator[str]:
    """What comes in; `in` reads on until it is there."""
    while True:
        yield manager.recv(4096).decode()
