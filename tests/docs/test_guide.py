"""The five minutes of the README, as a newcomer follows them: two programs, three commands, and one file of rules."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import TULLE, Mesh, Running, wait_for

README = (Path(__file__).parents[2] / "README.md").read_text()
EXPECTED = "{'from': 'b'}"


def blocks(language: str = "") -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.M | re.S)
    return [text for marked, text in found if marked == language]


def typed(*beginnings: str) -> list[str]:
    """The first command of the README with each beginning, without what is said of it."""
    lines = [re.split(r" {2,}", line)[0] for block in blocks() for line in block.splitlines()]
    return [next(line for line in lines if line.startswith(beginning)) for beginning in beginnings]


class Terminals(Mesh):
    """A folder with the README's two programs, and shells in it with `tulle` and `python` on their PATH."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        b, a = blocks("python")
        (folder / "b.py").write_text(b)
        (folder / "a.py").write_text(a)
        (folder / "access.yaml").write_text(*blocks("yaml"))
        (folder / "bin").mkdir()
        for name, command in (("tulle", TULLE), ("python", [sys.executable])):
            shim = folder / "bin" / name
            shim.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
            shim.chmod(0o755)
        del self.env["TULLE_DATA"]
        self.env |= {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "XDG_STATE_HOME": str(folder / "home")}

    def type(self, line: str) -> Running:
        """Has a shell run it, in a terminal of its own so to speak: what it says is kept."""
        command = ["sh", "-c", f"cd {shlex.quote(str(self.folder))} && exec {line}"]
        self.running.append(Running(line, command, self.folder / f"{len(self.running)}.log", self.env))
        return self.running[-1]

    def ask(self, line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", line], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=60
        )


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Terminals]:
    there = Terminals(tmp_path)
    try:
        yield there
    finally:
        there.close()


def said_by_the_program(running: Running) -> list[str]:
    return [line for line in running.output.splitlines() if not line.startswith("tulle |")]


def test_three_terminals_make_a_mesh_and_nothing_that_dies_is_noticed(terminals: Terminals) -> None:
    up, serve, call = typed("tulle up", "tulle run service-b", "tulle run service-a")
    control_plane = terminals.type(up)
    wait_for("it says what to type next", lambda: "tulle run service-b -- python b.py" in control_plane.output)
    first = terminals.type(serve)
    wait_for("b is healthy", lambda: "healthy" in first.output)
    caller = terminals.type(call)
    wait_for("a has b's answer", lambda: EXPECTED in said_by_the_program(caller))

    second = terminals.type(serve)
    wait_for("the second b is healthy", lambda: "healthy" in second.output)
    for line in typed("tulle status", "tulle services", "tulle proxies", "tulle proxy service-a routes"):
        table, document = terminals.ask(line), terminals.ask(f"{line} -o json")
        assert table.returncode == 0 and "service" in table.stdout, table.stderr
        assert json.loads(document.stdout)

    check = "tulle authz check service-a service-b"
    rules = typed("tulle apply -f access.yaml", f"{check} GET", f"{check} POST")
    for line, (code, answer) in zip(rules, [(0, "created"), (0, "allowed: "), (1, "denied: ")], strict=True):
        done = terminals.ask(line)
        assert done.returncode == code and answer in done.stdout, f"{line}\n{done.stdout}{done.stderr}"
    goes_on(caller)

    first.kill()
    control_plane.signal(signal.SIGKILL)
    control_plane.wait()
    goes_on(caller)
    again = terminals.type(up)
    wait_for("it is up again", lambda: "ready" in again.output)
    goes_on(caller)
    assert set(said_by_the_program(caller)) == {EXPECTED}


def goes_on(caller: Running) -> None:
    before = len(said_by_the_program(caller))
    wait_for("three more answers", lambda: len(said_by_the_program(caller)) >= before + 3)
