"""Spans on to another OTLP endpoint, by HTTP: packed, tried again while that makes sense, and dropped when too many wait.

Source: OpenTelemetry, "OTLP Specification", OTLP/HTTP: request, retryable response codes, throttling.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import os
import ssl
from collections import deque
from collections.abc import Mapping
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import unquote, urlsplit

HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
MOST_WAITING = 16 * 1024 * 1024
_PATH = "/v1/traces"
_AT_ONCE = 1024 * 1024
_SECONDS = 10.0
_BACK_OFF = (1.0, 30.0)
_GATHER_SECONDS = 1.0
_RETRYABLE = (429, 502, 503, 504)

_log = logging.getLogger(__name__)


class BadEndpoint(Exception):
    """The message is for the user."""


class Endpoint:
    """An `http` or `https` URL; `/v1/traces` is added, as SDKs do. Raises BadEndpoint."""

    def __init__(self, url: str, environ: Mapping[str, str] = os.environ) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError as error:
            raise BadEndpoint(f"{url}: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise BadEndpoint(f"{url} is no URL of an OTLP endpoint, such as http://127.0.0.1:4318")
        if parts.username or parts.password:
            raise BadEndpoint(f"put what proves who you are into {HEADERS}, not into the URL")
        self.shown = f"{parts.scheme}://{parts.netloc}"
        self._path = parts.path if parts.path.endswith(_PATH) else f"{parts.path.rstrip('/')}{_PATH}"
        self._host, self._port, self._secure = parts.hostname, port, parts.scheme == "https"
        self._headers = _headers(environ.get("OTEL_EXPORTER_OTLP_HEADERS", ""))

    def post(self, body: bytes) -> tuple[int, float]:
        """The status, and after how many seconds to come again at the earliest. Waits. Raises OSError, HTTPException."""
        connection = (
            HTTPSConnection(self._host, self._port, timeout=_SECONDS, context=ssl.create_default_context())
            if self._secure
            else HTTPConnection(self._host, self._port, timeout=_SECONDS)
        )
        try:
            fixed = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip", "User-Agent": "tulle"}
            connection.request("POST", self._path, gzip.compress(body, 1), {**self._headers, **fixed})
            response = connection.getresponse()
            after = response.getheader("Retry-After", "")
            return response.status, float(after) if after.isdigit() else 0.0
        finally:
            connection.close()


class Forwarding:
    """lost: spans that the endpoint did not take."""

    def __init__(self, endpoint: Endpoint, most_waiting: int = MOST_WAITING) -> None:
        self._endpoint = endpoint
        self._most = most_waiting
        self._exports: deque[tuple[bytes, int]] = deque()
        self._waiting = 0
        self._loop = asyncio.get_running_loop()
        self._some = asyncio.Event()
        self.lost = self.sent = 0
        self.trouble = ""

    def add(self, export: bytes, spans: int) -> None:
        """From any thread."""
        self._loop.call_soon_threadsafe(self._add, export, spans)

    def _add(self, export: bytes, spans: int) -> None:
        self._exports.append((export, spans))
        self._waiting += len(export)
        while self._waiting > self._most:
            oldest, count = self._exports.popleft()
            self._waiting -= len(oldest)
            self.lost += count
        if self._exports:
            self._some.set()

    async def send(self) -> None:
        """For ever."""
        while True:
            await self._some.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            body, spans = self._taken()
            if body:
                await self._deliver(body, spans)

    def _taken(self) -> tuple[bytes, int]:
        """Exports one after the other are one export."""
        parts: list[bytes] = []
        spans = size = 0
        while self._exports and (not parts or size + len(self._exports[0][0]) <= _AT_ONCE):
            part, count = self._exports.popleft()
            parts.append(part)
            spans, size = spans + count, size + len(part)
        self._waiting -= size
        if not self._exports:
            self._some.clear()
        return b"".join(parts), spans

    async def _deliver(self, body: bytes, spans: int) -> None:
        """Until it is taken or refused. What comes meanwhile waits, and the oldest of that is dropped."""
        pause = _BACK_OFF[0]
        while True:
            after = 0.0
            try:
                status, after = await asyncio.to_thread(partial(self._endpoint.post, body))
            except (OSError, HTTPException) as error:
                why = str(error) or type(error).__name__
            else:
                if status < 300:
                    self._say("")
                    self.sent += spans
                    return
                why = f"it answers {status}"
                if status not in _RETRYABLE:
                    self.lost += spans
                    self._say(why)
                    return
            self._say(why)
            await asyncio.sleep(min(max(pause, after), 60.0))
            pause = min(2 * pause, _BACK_OFF[1])

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            _log.warning("spans can't be forwarded to %s: %s", self._endpoint.shown, trouble)
        elif self.trouble and not trouble:
            _log.info("spans are forwarded to %s again; %d are lost", self._endpoint.shown, self.lost)
        self.trouble = trouble


def _headers(text: str) -> dict[str, str]:
    """`api-key=secret,x=y`, percent-encoded. Source: OpenTelemetry, "Protocol Exporter", OTEL_EXPORTER_OTLP_HEADERS."""
    pairs = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    return {unquote(name.strip()): unquote(value.strip()) for name, _, value in pairs if name.strip()}
