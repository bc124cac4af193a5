"""One `tulle` process below `tulle dev`, in a session of its own, and what it and its program say, line by line."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

LONGEST_LINE = 16 * 1024
_READ = 64 * 1024
_LAST_WORDS_SECONDS = 1.0
_GUARD = str(Path(__file__).with_name("guard.py"))

# What a service manager has told `tulle dev` is not for its children. Nor is a join token: they are of the mesh that is ours.
_OURS_ALONE = (
    *("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"),
    "TULLE_JOIN",
)

# Python keeps what it prints to a pipe until there are 8 KB of it.
_UNBUFFERED = {"PYTHONUNBUFFERED": "1"}


async def start(
    *arguments: str, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> asyncio.subprocess.Process:
    """`tulle ARGUMENTS...` with `environment` added to ours. Ctrl-C on the terminal does not reach it."""
    inherited = {name: value for name, value in os.environ.items() if name not in _OURS_ALONE}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", _GUARD, str(os.getpid())),
        *(sys.executable, "-P", "-m", "tulle", *arguments),
        cwd=folder,
        env={**_UNBUFFERED, **inherited, **(environment or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,  # one pipe, so that the order of lines is kept
        start_new_session=True,
    )


async def follow(process: asyncio.subprocess.Process, say: Callable[[bytes], None]) -> int:
    """Says every line until the process has ended; its return code."""
    assert process.stdout is not None
    reading = asyncio.create_task(_read(process.stdout, say), name="output")
    try:
        code = await process.wait()
        # Somebody else may have the pipe and keep it open.
        await asyncio.wait([reading], timeout=_LAST_WORDS_SECONDS)
    finally:
        reading.cancel()
        await asyncio.wait([reading])
    return code


async def _read(stream: asyncio.StreamReader, say: Callable[[bytes], None]) -> None:
    lines = Lines()
    while data := await stream.read(_READ):
        for line in lines.feed(data):
            say(line)
    if lines.rest:
        say(lines.rest)


class Lines:
    """Cuts a stream into lines without their ends; one that is longer than LONGEST_LINE comes in pieces."""

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            yield from _pieces(line)
        if len(self.rest) > LONGEST_LINE:
            *pieces, self.rest = _pieces(self.rest)
            yield from pieces


def _pieces(line: bytes) -> list[bytes]:
    return [line[at : at + LONGEST_LINE] for at in range(0, len(line), LONGEST_LINE)] or [line]
