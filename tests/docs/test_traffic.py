"""The guide on traffic, typed as it stands: its programs, its documents, its commands, and what they are said to print."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import TULLE, Mesh, Running, wait_for

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "guides" / "traffic.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
COUNTED = re.compile(r"^ +(\d+) ", re.M)
STOP = "# Ctrl-C: "


class Reader(Mesh):
    """Who follows the guide: one folder, terminals of which some go on, and a shell in the mesh."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "bin").mkdir()
        for name, command in (("tulle", TULLE), ("python", [sys.executable])):
            shim = folder / "bin" / name
            shim.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
            shim.chmod(0o755)
        self.env["PATH"] = f"{folder / 'bin'}:{self.env['PATH']}"
        self.shell = ""

    def types(self, line: str, in_shell: bool) -> str:
        """Has it run; what it printed, nothing if it goes on."""
        if in_shell:
            return self.says(f"{self.shell} {shlex.quote(line)}")
        if line.startswith(STOP):
            next(one for one in self.running if one.name.endswith(line.removeprefix(STOP))).stop()
        elif line.startswith("tulle run shell"):
            self.shell = line.replace("shell", "shell --log-file shell.log", 1) + " -c"
        elif line.startswith(("tulle up", "tulle run")):
            self._goes_on(line)
        else:
            return self.says(line)
        return ""

    def says(self, line: str) -> str:
        done = subprocess.run(
            ["sh", "-c", line], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _goes_on(self, line: str) -> None:
        command = ["sh", "-c", f"cd {shlex.quote(str(self.folder))} && exec {line}"]
        started = Running(line, command, self.folder / f"{len(self.running)}.log", self.env)
        self.running.append(started)
        ready = "ready:" if line.startswith("tulle up") else "calls reach it now"
        wait_for(f"{line} is ready", lambda: ready in started.output or started.process.poll() is not None)
        assert ready in started.output, started.output


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    there = Reader(tmp_path)
    try:
        yield there
    finally:
        there.close()


def typed(block: str) -> Iterator[tuple[bool, str, str]]:
    """Whether it is typed in the shell, the line, and what it is said to print."""
    for shell, line, output in re.findall(r"^(shell)?\$ (.*)\n((?:(?!(?:shell)?\$ ).*\n)*)", block, re.M):
        yield bool(shell), line, output


def test_the_guide_on_traffic_does_what_it_says(reader: Reader) -> None:
    for block in BLOCK.finditer(GUIDE):
        language, text = block.groups()
        if language != "console":
            before = GUIDE[: block.start()]
            (reader.folder / re.findall(r"`(\w+\.(?:py|yaml))`", before)[-1]).write_text(text)
            continue
        for in_shell, line, output in typed(text):
            follow(reader, in_shell, line, output)
    assert any('"GET /copied HTTP/1.1" 200' in one.output for one in reader.running if one.name.endswith("v2"))


def follow(reader: Reader, in_shell: bool, line: str, output: str) -> None:
    """Types a line. A call may be made again for a while: sidecars learn of a change a moment after it is stored."""
    if in_shell:
        wait_for(f"{line}\n{output}", lambda: alike(reader.types(line, in_shell), output), 10)
    else:
        printed = reader.types(line, in_shell)
        assert alike(printed, output), f"{line}\n{printed}"


def alike(printed: str, told: str) -> bool:
    """The same, and where calls are counted nobody gets much more or less than he is said to."""
    shares = [(int(a), int(b)) for a, b in zip(COUNTED.findall(printed), COUNTED.findall(told), strict=False)]
    near = all(abs(a - b) <= max(1, 0.2 * sum(told for _, told in shares)) for a, b in shares)
    return COUNTED.sub("", printed) == COUNTED.sub("", told) and near


WITH_DOCUMENTS = [path for path in sorted(DOCS.rglob("*.md")) if "apiVersion: networking" in path.read_text()]


@pytest.mark.parametrize("path", WITH_DOCUMENTS, ids=lambda path: path.name)
def test_every_document_of_the_pages_is_valid(path: Path, tmp_path: Path) -> None:
    documents = [text for language, text in BLOCK.findall(path.read_text()) if "apiVersion: networking" in text]
    for number, text in enumerate(documents):
        (tmp_path / f"{number}.yaml").write_text(text)
        done = subprocess.run(
            [*TULLE, "validate", "-f", str(tmp_path / f"{number}.yaml")], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0 and "warning" not in done.stdout, done.stdout + done.stderr
