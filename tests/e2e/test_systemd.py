"""What `tulle run --systemd` prints runs the same service: from its folder, with its variables and nothing else."""

from __future__ import annotations

import shlex
import signal
import sys

from running import PROGRAMS, Mesh, Running, wait_for


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
    answer = mesh.caller().call("http://service-b/")
    assert (answer.status, answer.json()["instance"]) == (200, "it's 100% $b")

    assert running.stop() == 128 + signal.SIGTERM
    assert str(128 + signal.SIGTERM) in settings(unit, "SuccessExitStatus")[0].split()
