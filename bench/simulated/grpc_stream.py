"""A client's side of one bidirectional gRPC call over mutual TLS, as light as can be.

A thousand of these share a machine with what is measured. And gRPC for Python can't do what Envoy does: accept a server by
its SPIFFE id. Sources: RFC 9113 (HTTP/2; frames in section 6), RFC 7541 section 6.2.2 (header fields that are not
indexed), gRPC over HTTP2 (messages with a prefix of five bytes).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_ACK = _END_STREAM = 1
_MOST_AT_ONCE = 65_536
_CONNECT_SECONDS = 30.0
_END_HEADERS = 4
_INITIAL_WINDOW_SIZE = 4
_DEFAULT_WINDOW = 65_535
_WINDOW = 1 << 20
_MOST_IN_A_FRAME = 16_384
_STREAM = 1
_MOST_AT_ONCE = 65_536
_CONNECT_SECONDS = 30.0


class GrpcStream:
    """take: called with each message that arrives. problem: why the call has ended; None while it goes on.

    Reads and writes its socket itself: asyncio's own TLS costs several times as much.
    """

    def __init__(self, authority: str, path: str, server_id: str, take: Callable[[bytes], None]) -> None:
        self.problem: Exception | None = None
        self._headers = _headers(authority, path)
        self._server_id = server_id
        self._take = take
        self._socket: ssl.SSLSocket | None = None
        self._unwritten = bytearray()
        self._frames = bytearray()
        self._messages = bytearray()
        self._unsent = bytearray()
        self._windows = {0: _DEFAULT_WINDOW, _STREAM: _DEFAULT_WINDOW}
        self._initial_window = _DEFAULT_WINDOW
        self._consumed = 0

    def connect(self, host: str, port: int, tls: ssl.SSLContext) -> None:
        """Waits for the handshake; run it in a thread. Raises OSError, ssl.SSLError among them."""
        connection = socket.create_connection((host, port), timeout=_CONNECT_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = tls.wrap_socket(connection)
        certificate = self._socket.getpeercert() or {}
        if certificate["subjectAltName"] != (("URI", self._server_id),):
            raise ssl.SSLCertVerificationError(f"the server proves {certificate['subjectAltName']}")
        self._socket.setblocking(False)

    def start(self) -> None:
        """Begin the call on the connection, in the running loop."""
        assert self._socket
        asyncio.get_running_loop().add_reader(self._socket, self._read)
        settings = struct.pack(">HI", _INITIAL_WINDOW_SIZE, _WINDOW)
        window = struct.pack(">I", _WINDOW - _DEFAULT_WINDOW)
        self._write(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, settings)
            + _frame(_WINDOW_UPDATE, 0, 0, window)
            + _frame(_HEADERS, _END_HEADERS, _STREAM, self._headers)
        )

    def send(self, message: bytes) -> None:
        self._unsent += struct.pack(">BI", 0, len(message)) + message
        self._flush()

    def close(self) -> None:
        self._end(ConnectionError("it was closed here"))

    def _read(self) -> None:
        assert self._socket
        try:
            while data := self._socket.recv(_MOST_AT_ONCE):
                self._receive(data)
                if not self._socket.pending() and len(data) < _MOST_AT_ONCE:
                    return
            self._end(ConnectionError("the server closed the connection"))
        except ssl.SSLWantReadError:
            return
        except OSError as error:
            self._end(error)

    def _write(self, data: bytes) -> None:
        self._unwritten += data
        if len(self._unwritten) == len(data):
            self._continue_writing()

    def _continue_writing(self) -> None:
        """Write what is there, now or when the socket takes it."""
        assert self._socket
        loop = asyncio.get_running_loop()
        try:
            while self._unwritten:
                del self._unwritten[: self._socket.send(self._unwritten)]
        except ssl.SSLWantWriteError:
            loop.add_writer(self._socket, self._continue_writing)
        except OSError as error:
            self._end(error)
        else:
            loop.remove_writer(self._socket)

    def _receive(self, data: bytes) -> None:
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
            self._gather(payload)
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

    def _gather(self, data: bytes) -> None:
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
        while self._unsent:
            size = min(len(self._unsent), _MOST_IN_A_FRAME, *self._windows.values())
            if size <= 0:
                return
            self._write(_frame(_DATA, 0, _STREAM, bytes(self._unsent[:size])))
            del self._unsent[:size]
            for stream in self._windows:
                self._windows[stream] -= size

    def _end(self, why: Exception) -> None:
        if self.problem is None and self._socket is not None:
            self.problem = why
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)
            self._socket.close()


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
