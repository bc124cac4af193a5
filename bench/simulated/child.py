"""Measured parts as processes of their own, which do what they are told line by line in JSON.

A child answers each line on its standard input with one on its standard output, and ends when its input does: so it
never outlives who started it.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

_LONGEST_LINE = 1 << 28
_LONGEST_END = 20.0

Command = Callable[..., Awaitable[Any]]


class Child:
    """A child, as who started it sees it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, command: str, timeout: float, **arguments: Any) -> Any:
        """What the child answers. Raises TimeoutError, and EOFError if it has ended instead."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps([command, arguments]).encode() + b"\n")
        async with asyncio.timeout(timeout):
            line = await self._process.stdout.readline()
        if not line:
            raise EOFError(f"the process ended while it was asked to {command}")
        return json.loads(line)

    def memory(self, kind: str = "VmRSS") -> float:
        """In MB, from proc(5); VmHWM is the most since the start or since `forget_peak`."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith(f"{kind}:"):
                return int(line.split()[1]) / 1024
        raise ValueError(kind)

    def forget_peak(self) -> None:
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")


@asynccontextmanager
async def child(module: str, *arguments: str) -> AsyncIterator[Child]:
    """`python -m MODULE ARGUMENTS` within the block."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdin=pipe, stdout=pipe, limit=_LONGEST_LINE
    )
    try:
        yield Child(process)
    finally:
        assert process.stdin
        process.stdin.close()
        try:
            async with asyncio.timeout(_LONGEST_END):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def obey(commands: Mapping[str, Command]) -> None:
    """A child's side: runs one command after the other until its input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    lines = asyncio.StreamReader(limit=_LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        command, arguments = json.loads(line)
        answer = await commands[command](**arguments)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def cpu_seconds() -> float:
    """What this process has used so far, all threads together."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
