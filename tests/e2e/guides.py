"""Who follows a guide as it stands: what is typed in which terminal, and what it is said to print."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from running import TULLE, Mesh, Running, wait_for

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
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


def followed(reader: Reader, guide: str, follow: Callable[[Reader, bool, str, str], None]) -> None:
    """Writes the guide's files, by the names that it gives them last, and has `follow` type each of its lines."""
    for block in BLOCK.finditer(guide):
        language, text = block.groups()
        if language != "console":
            before = guide[: block.start()]
            (reader.folder / re.findall(r"`(\w+\.(?:py|yaml))`", before)[-1]).write_text(text)
            continue
        for line in typed(text):
            follow(reader, *line)


def typed(block: str) -> Iterator[tuple[bool, str, str]]:
    """Whether it is typed in the shell, the line, and what it is said to print."""
    for shell, line, output in re.findall(r"^(shell)?\$ (.*)\n((?:(?!(?:shell)?\$ ).*\n)*)", block, re.M):
        yield bool(shell), line, output
