"""`GET /v1/audit`: the audit log as it is in its file, a line of JSON for each event; with `follow` without end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

_AT_ONCE = 256 * 1024
_LOOK_EVERY = 0.5


class _Line(Struct):
    time: float


_line = msgspec.json.Decoder(_Line)


class AuditLog:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.routes = [Route("/v1/audit", self.read)]

    async def read(self, request: Request) -> Response:
        try:
            since = float(request.query_params.get("since", "0"))
        except ValueError as error:
            raise HTTPException(400, "since must be Unix time in seconds") from error
        follow = request.query_params.get("follow", "") in ("1", "true")
        return StreamingResponse(self._lines(since, follow=follow), media_type="application/x-ndjson")

    async def _lines(self, since: float, *, follow: bool) -> AsyncGenerator[bytes, None]:
        with ExitStack() as stack:
            reader = stack.enter_context(_Reader(self._path))
            while True:
                lines = await asyncio.to_thread(reader.more)
                if kept := b"".join(line for line in lines if _time(line) >= since):
                    yield kept
                elif not lines and not follow:
                    return
                if not lines:
                    # An empty part ends the answer of somebody who may not see more (callers.py), or is gone.
                    yield b""
                    await asyncio.sleep(_LOOK_EVERY)


class _Reader:
    """The older file first, then the newer one; when that is put aside, what is left in it and then the next."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._older = path.with_name(f"{path.name}.1")
        self._file: BinaryIO | None = None
        self._rest = b""
        self._has_older = True

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def more(self) -> list[bytes]:
        """Whole lines, each with its end; none if there are none now."""
        while True:
            if self._file is None and not self._open():
                return []
            assert self._file is not None
            lines = self._take(self._file)
            if lines or not self._is_over(self._file):
                return lines
            # It may have been written to between the two looks.
            if lines := self._take(self._file):
                return lines
            self._file.close()
            self._file, self._rest = None, b""

    def _take(self, file: BinaryIO) -> list[bytes]:
        parts = (self._rest + file.read(_AT_ONCE)).split(b"\n")
        self._rest = parts.pop()
        return [part + b"\n" for part in parts]

    def _open(self) -> bool:
        path = self._older if self._has_older else self._path
        self._has_older = False
        try:
            self._file = path.open("rb", buffering=0)
        except FileNotFoundError:
            return path == self._older and self._open()
        return True

    def _is_over(self, file: BinaryIO) -> bool:
        """Whether nothing more is written to it."""
        try:
            newest = self._path.stat()
        except FileNotFoundError:
            return False
        own = os.fstat(file.fileno())
        return (own.st_dev, own.st_ino) != (newest.st_dev, newest.st_ino)


def _time(line: bytes) -> float:
    try:
        return _line.decode(line).time
    except msgspec.DecodeError:
        return 0.0
