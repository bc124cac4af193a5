"""A client's side of one bidirectional gRPC call over mutual TLS, as light as can be.

A thousand of these share a machine with what is measured. And gRPC for Python can't do what Envoy does: accept a server by
its SPIFFE id. Sources: RFC 9113 (HTTP/2; frames in section 6), RFC 7541 section 6.2.2 (header fields that are not
indexed), gRPC over HTTP2 (messages with a prefix of five bytes).
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Callable

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_ACK = _END_STREAM = 1
_END_HEADERS = 4
_INITIAL_WINDOW_SIZE = 4
_DEFAULT_WINDOW = 65_535
_WINDOW = 1 << 20
_MOST_IN_A_FRAME = 16_384
_STREAM = 1


class GrpcStream(asyncio.Protocol):
    """take: called with each message that arrives. When the call ends, for whatever reason, `ended` has an exception."""

    def __init__(self, authority: str, path: str, server_id: str, take: Callable[[bytes], None]) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._headers = _headers(authority, path)
        self._server_id = server_id
        self._take = take
        self._transport: asyncio.Transport | None = None
        self._frames = bytearray()
        self._messages = bytearray()
        self._unsent = bytearray()
        self._windows = {0: _DEFAULT_WINDOW, _STREAM: _DEFAULT_WINDOW}
        self._initial_window = _DEFAULT_WINDOW
        self._consumed = 0

    def send(self, message: bytes) -> None:
        self._unsent += struct.pack(">BI", 0, len(message)) + message
        self._flush()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        certificate = transport.get_extra_info("peercert")
        if certificate["subjectAltName"] != (("URI", self._server_id),):
            raise ssl.SSLCertVerificationError(f"the server proves {certificate['subjectAltName']}")
        settings = struct.pack(">HI", _INITIAL_WINDOW_SIZE, _WINDOW)
        window = struct.pack(">I", _WINDOW - _DEFAULT_WINDOW)
        transport.write(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, settings)
            + _frame(_WINDOW_UPDATE, 0, 0, window)
            + _frame(_HEADERS, _END_HEADERS, _STREAM, self._headers)
        )
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionError("the connection was closed"))

    def data_received(self, data: bytes) -> None:
        self._frames += data
        at = 0
        while len(self._frames) - at >= 9:
            length = int.from_bytes(self._frames[at : at + 3], "big")
            if len(self._frames) - at - 9 < length:
                break
            kind, flags = self._frames[at + 3], self._frames[at + 4]
            stream = int.from_bytes(self._frames[at + 5 : at + 9], "big")
            self._handle(kind, flags, stream, bytes(self._frames[at + 9 : at + 9 + length]))
            at += 9 + length
        del self._frames[:at]

    def _handle(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _DATA:
            self._receive(payload)
        elif kind == _PING and not flags & _ACK:
            self._write(_frame(_PING, _ACK, 0, payload))
        elif kind == _SETTINGS and not flags & _ACK:
            for key, value in struct.iter_unpack(">HI", payload):
                if key == _INITIAL_WINDOW_SIZE:
                    self._windows[_STREAM] += value - self._initial_window
                    self._initial_window = value
            self._write(_frame(_SETTINGS, _ACK, 0, b""))
            self._flush()
        elif kind == _WINDOW_UPDATE:
            self._windows[stream] += int.from_bytes(payload, "big")
            self._flush()
        elif kind in (_RST_STREAM, _GOAWAY) or (kind == _HEADERS and flags & _END_STREAM):
            self._end(ConnectionError(f"the server ended the call: {payload!r}"))

    def _receive(self, data: bytes) -> None:
        self._consumed += len(data)
        if self._consumed > _WINDOW // 2:
            update = struct.pack(">I", self._consumed)
            self._write(_frame(_WINDOW_UPDATE, 0, 0, update) + _frame(_WINDOW_UPDATE, 0, _STREAM, update))
            self._consumed = 0
        self._messages += data
        while len(self._messages) >= 5:
            end = 5 + int.from_bytes(self._messages[1:5], "big")
            if len(self._messages) < end:
                break
            message = bytes(self._messages[5:end])
            del self._messages[:end]
            self._take(message)

    def _flush(self) -> None:
        while self._unsent and self._transport is not None:
            size = min(len(self._unsent), _MOST_IN_A_FRAME, *self._windows.values())
            if size <= 0:
                return
            self._write(_frame(_DATA, 0, _STREAM, bytes(self._unsent[:size])))
            del self._unsent[:size]
            for stream in self._windows:
                self._windows[stream] -= size

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _end(self, why: Exception) -> None:
        if not self.ended.done():
            self.ended.set_exception(why)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _headers(authority: str, path: str) -> bytes:
    fields = {
        ":method": "POST",
        ":scheme": "https",
        ":path": path,
        ":authority": authority,
        "te": "trailers",
        "content-type": "application/grpc",
    }
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields.items())


def _text(value: str) -> bytes:
    """A string literal that is not Huffman-coded, of at most 126 bytes."""
    return bytes([len(value)]) + value.encode()
