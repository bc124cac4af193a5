"""A program under test that does what it is told line by line, over its standard input and output; both sides of it.

So a program that `tulle run` has started can be measured from within, and several of them in turn.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.processes import Failed


class Asked:
    """The program, as who started it sees it. It was started with pipes; log: where its errors go."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log

    def begin(self, command: str, **arguments: Any) -> None:
        """Has it begin, and goes on; `answer` waits for it."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps([command, arguments]).encode() + b"\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        assert self._process.stdout
        if not (line := self._process.stdout.readline()):
            raise Failed(f"a program that is asked has ended:\n{self._log.read_text(errors='replace')}")
        return json.loads(line)

    def ask(self, command: str, **arguments: Any) -> Any:
        self.begin(command, **arguments)
        return self.answer()


def obey(commands: Mapping[str, Callable[..., Any]]) -> None:
    """The program's side: one command after the other until its input ends. What it prints by mistake is not an answer."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        command, arguments = json.loads(line)
        print(json.dumps(commands[command](**arguments)), file=answers, flush=True)
