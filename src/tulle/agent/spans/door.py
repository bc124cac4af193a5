"""The agent's OTLP door: a small HTTP/1.1 server that takes spans, and answers before anything is done with them.

For Envoy it is a Unix socket in the proxy's folder. For the program it is a port on loopback, where every user of the machine
could call; so the path begins with a word that only the program is told. Nothing but `POST /v1/traces` with protobuf is taken.
Each of the two has room for so many connections. Where there is none, those have to go that have not yet asked for the path.
Source: OpenTelemetry, "OTLP Specification", OTLP/HTTP.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from tulle.agent.spans.export import spans_in
from tulle.agent.spans.requests import Refusal, body_of, head_of
from tulle.agent.spans.waiting import Waiting
from tulle.aio.unix import short_path
from tulle.model.addresses import LOOPBACK

SOCKET = "telemetry.sock"
_PATH = "/v1/traces"
_PROTOBUF = "application/x-protobuf"
_MOST_HEAD = 16 * 1024
_MOST_CONNECTIONS = 64
_HEAD_SECONDS = 5.0  # for the first request; none is waited for longer before one has told the path
_SILENCE_SECONDS = 300.0


class SpansDoor:
    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._connections: set[asyncio.Task[None]] = set()  # of all rooms
        self._stack = AsyncExitStack()
        self.endpoint = ""

    async def for_program(self, listening: socket.socket | None = None) -> str:
        """Opens a port for the program as well; what it is told as OTEL_EXPORTER_OTLP_ENDPOINT.

        listening: where, if it is not to be a free port on loopback; closed with the door.
        """
        if not self.endpoint:
            listening = listening or socket.create_server((LOOPBACK, 0))
            word = secrets.token_urlsafe(16)
            address, port = listening.getsockname()[:2]
            await self.open(listening, f"/{word}{_PATH}")
            self.endpoint = f"http://{address}:{port}/{word}"
        return self.endpoint

    async def open(self, listening: socket.socket, path: str) -> None:
        room = _Room()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task
            self._connections.add(task)
            try:
                if room.enter(writer):
                    await self._serve(path, room, reader, writer)
            except (OSError, asyncio.CancelledError):  # who hangs up, and our own end
                pass
            finally:
                self._connections.discard(task)
                room.leave(writer)
                writer.close()

        start = asyncio.start_unix_server if listening.family == socket.AF_UNIX else asyncio.start_server
        server = await start(serve, sock=listening, limit=_MOST_HEAD)
        self._stack.callback(server.close)

    async def close(self) -> None:
        for task in self._connections:
            task.cancel()
        await self._stack.aclose()

    async def _serve(self, path: str, room: _Room, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        goes_on, seconds = True, _HEAD_SECONDS
        while goes_on:
            try:
                async with asyncio.timeout(seconds):
                    head = await head_of(reader)
                if head is None:
                    return
                goes_on, seconds = head.keeps_alive, _SILENCE_SECONDS
                if head.path != path:
                    raise Refusal("404 Not Found")
                room.knows(writer)
                if head.method != "POST":
                    raise Refusal("405 Method Not Allowed")
                if head.headers.get("content-type", "").partition(";")[0].strip() != _PROTOBUF:
                    raise Refusal("415 Unsupported Media Type")
                if head.headers.get("expect", "").lower() == "100-continue":
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                self._take(await body_of(reader, head.headers))
                answer = "200 OK"
            except Refusal as refusal:
                answer, goes_on = refusal.status, False  # its body may not have been read
            writer.write(_response(answer, keep=goes_on))
            await writer.drain()

    def _take(self, export: bytes) -> None:
        try:
            spans = spans_in(export)
        except ValueError as error:
            raise Refusal("400 Bad Request") from error
        self._waiting.add(export, spans)


class _Room:
    """For the connections of one door. Whoever has the right path stays; of the others the one that came first goes first."""

    def __init__(self) -> None:
        self._strangers: dict[asyncio.StreamWriter, None] = {}
        self._known: set[asyncio.StreamWriter] = set()

    def enter(self, writer: asyncio.StreamWriter) -> bool:
        """Whether there is room, or there could be made some."""
        if len(self._strangers) + len(self._known) >= _MOST_CONNECTIONS:
            if not self._strangers:
                return False
            first = next(iter(self._strangers))
            del self._strangers[first]
            first.transport.abort()
        self._strangers[writer] = None
        return True

    def knows(self, writer: asyncio.StreamWriter) -> None:
        self._strangers.pop(writer, None)
        self._known.add(writer)

    def leave(self, writer: asyncio.StreamWriter) -> None:
        self._strangers.pop(writer, None)
        self._known.discard(writer)


def _response(status: str, *, keep: bool) -> bytes:
    """An empty body is an ExportTraceServiceResponse, and says that all was taken."""
    fields: Mapping[str, str] = {"Content-Type": _PROTOBUF, "Content-Length": "0"}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, *([] if keep else ["Connection: close"]), "", ""]).encode()


@asynccontextmanager
async def spans_door(folder: Path, waiting: Waiting) -> AsyncIterator[SpansDoor]:
    """Open for Envoy within the block. folder: the proxy's."""
    door = SpansDoor(waiting)
    listening = socket.socket(socket.AF_UNIX)
    os.fchmod(listening.fileno(), 0o600)  # bind(2) gives the file the mode of its socket, less the umask
    path = folder / SOCKET
    try:
        path.unlink(missing_ok=True)
        with short_path(path) as short:
            listening.bind(short)
        await door.open(listening, _PATH)
        yield door
    finally:
        await door.close()
        listening.close()
        with suppress(OSError):
            path.unlink(missing_ok=True)
