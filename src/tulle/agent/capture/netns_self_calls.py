"""Passes on the calls that a program makes to itself, by its own localhost, in the mode netns.

The socket that it listens on is outside (netns_launch.py); the one that it would have had inside is handed over here
by the reaper, already listening. So such a call goes through the agent, byte by byte: it is for health checks and
control channels, not for load.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_NAME = "self-calls.sock"
_CHUNK = 65536


@contextmanager
def passing_on(folder: Path) -> Iterator[str]:
    """Serves within the block whatever is handed over at the socket whose path this gives, for the reaper."""
    loop = asyncio.get_running_loop()
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    calls = _SelfCalls(loop)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as handed_over:
        try:
            os.fchmod(handed_over.fileno(), 0o600)  # bind(2) gives the file the mode of its socket, less the umask
            handed_over.bind(f"/proc/self/fd/{place}/{_NAME}")  # a path that is never too long, see aio/unix.py
            loop.add_reader(handed_over, calls.take_from, handed_over)
            yield f"/proc/{os.getpid()}/fd/{place}/{_NAME}"
        finally:
            loop.remove_reader(handed_over)
            calls.close()
            (folder / _NAME).unlink(missing_ok=True)
            os.close(place)


class _SelfCalls:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()

    def take_from(self, handed_over: socket.socket) -> None:
        """A socket that listens inside, with the address outside to which its calls go."""
        to, descriptors, _, _ = socket.recv_fds(handed_over, 64, 1, socket.MSG_CMSG_CLOEXEC)
        host, port = to.decode().split()
        for descriptor in descriptors:
            self._start(self._serve(socket.socket(fileno=descriptor), host, int(port)), f"self calls to {port}")

    def close(self) -> None:
        """Ends all, at the next turn of the loop."""
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, listening: socket.socket, host: str, port: int) -> None:
        def called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._start(_pass_on(reader, writer, host, port), f"self call to {port}")

        server = await asyncio.start_server(called, sock=listening)
        try:
            await self._loop.create_future()  # for ever
        finally:
            server.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
    """One connection, to its end."""
    try:
        answers, asking = await asyncio.open_connection(host, port)
    except OSError:  # the program does not listen just now; the nearest to "refused" that is left to tell
        _reset(writer)
        return
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(reader, asking), name="self call, there")
            group.create_task(_pump(answers, writer), name="self call, back")
    except* OSError:  # one side has broken off
        _reset(asking)
        _reset(writer)
    finally:
        asking.close()
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    at_once = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    writer.transport.abort()
