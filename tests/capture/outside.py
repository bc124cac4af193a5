"""What is outside of the mesh: a server, and a nameserver with names of its own, both on loopback."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

ADDRESS = "127.1.2.3"
HOSTS = f"127.0.0.1 localhost\n::1 localhost\n{ADDRESS} pinned streams.default\n"
DOMAIN = "corp.test"
_A, _AAAA, _NOT_THERE = 1, 28, 3
_NAMES = {
    ("intranet.corp.test", _A): socket.inet_aton(ADDRESS),
    ("streams.corp.test", _A): socket.inet_aton(ADDRESS),
    ("six.outside.test", _AAAA): socket.inet_pton(socket.AF_INET6, "::1"),
}


@dataclass(frozen=True)
class Server:
    """port: TCP on 127.0.0.1, ADDRESS and own_address, and UDP on ADDRESS, which is echoed. port6: TCP on ::1.

    own_address: the machine's, but not loopback. None: the machine has no such thing.
    """

    port: int
    port6: int | None
    own_address: str | None


@contextmanager
def server() -> Iterator[Server]:
    """Answers any TCP client with `outside`, as HTTP."""
    with ExitStack() as stack:
        first = stack.enter_context(_serving(_Tcp(("127.0.0.1", 0), _Answering)))
        port = first.server_address[1]
        stack.enter_context(_serving(_Tcp((ADDRESS, port), _Answering)))
        stack.enter_context(_serving(_Udp((ADDRESS, port), _Echoing)))
        if own := _own_address():
            stack.enter_context(_serving(_Tcp((own, port), _Answering)))
        try:
            port6 = stack.enter_context(_serving(_Tcp6(("::1", 0), _Answering))).server_address[1]
        except OSError:
            port6 = None
        yield Server(port, port6, own)


@contextmanager
def nameserver(outside_test: str) -> Iterator[str]:
    """Its address, on whose port 53 it answers by UDP and TCP. For root.

    outside_test: the address of `outside.test`, beside names that are always the same.
    """
    names = {**_NAMES, ("outside.test", _A): socket.inet_aton(outside_test)}

    class AskedByUdp(socketserver.DatagramRequestHandler):
        def handle(self) -> None:
            self.wfile.write(_answer(names, self.rfile.read()))

    class AskedByTcp(socketserver.StreamRequestHandler):
        timeout = 30

        def handle(self) -> None:
            while len(length := self.rfile.read(2)) == 2:
                answer = _answer(names, self.rfile.read(struct.unpack("!H", length)[0]))
                self.wfile.write(struct.pack("!H", len(answer)) + answer)

    for last in range(1, 255):
        address = f"127.0.77.{last}"
        with ExitStack() as stack:
            try:
                stack.enter_context(_serving(_Udp((address, 53), AskedByUdp)))
                stack.enter_context(_serving(_Tcp((address, 53), AskedByTcp)))
            except OSError:  # another run of these tests has it
                continue
            yield address
            return
    raise AssertionError("no address is left for a nameserver")


def _own_address() -> str | None:
    with socket.socket(type=socket.SOCK_DGRAM) as looking:
        try:
            looking.connect(("192.0.2.1", 9))  # sends nothing; TEST-NET-1 (RFC 5737) stands for any address out there
        except OSError:
            return None
        found = str(looking.getsockname()[0])
        return None if found.startswith("127.") else found


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class _Tcp6(_Tcp):
    address_family = socket.AF_INET6


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True


@contextmanager
def _serving(server: _Tcp | _Udp) -> Iterator[_Tcp | _Udp]:
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Answering(socketserver.StreamRequestHandler):
    timeout = 30

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 7\r\n\r\noutside")


class _Echoing(socketserver.DatagramRequestHandler):
    def handle(self) -> None:
        self.wfile.write(self.rfile.read())


def _answer(names: Mapping[tuple[str, int], bytes], query: bytes) -> bytes:
    """To a question without compression, as they are; what comes behind it (EDNS) is left out."""
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode().lower())
        at += 1 + length
    (kind,) = struct.unpack_from("!H", query, at + 1)
    name, question = ".".join(labels), query[12 : at + 5]
    data = names.get((name, kind))
    known = any(name == each for each, _ in names)
    flags = 0x8180 | (0 if known else _NOT_THERE)
    record = b"" if data is None else struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(data)) + data
    return query[:2] + struct.pack("!5H", flags, 1, int(data is not None), 0, 0) + question + record
