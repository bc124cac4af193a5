"""Another program of the same machine, and what is the machine's own: no capture may touch them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from traces import rules_of_others

_RESOLVING = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf")


class Neighbour:
    """A client and a server that know nothing of tulle, with a connection that lasts."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self._lasting = self._connected()

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """It is so before the block and after it."""
        before = self._seen()
        try:
            yield
            assert self._seen() == before
        finally:
            self._lasting.close()
            self._server.shutdown(socket.SHUT_RDWR)
            self._thread.join()
            self._server.close()

    def check(self) -> None:
        """It works, and the mesh is not there for it."""
        self._ask(self._lasting)
        with self._connected() as connection:
            self._ask(connection)
        with suppress(socket.gaierror):
            assert not [a for a in socket.getaddrinfo("service-b", 80) if str(a[4][0]).startswith("127.")]
        with socket.socket() as stray:
            stray.settimeout(5)
            assert stray.connect_ex(("127.64.0.1", 80)) != 0

    def _seen(self) -> tuple[object, ...]:
        self.check()
        return (rules_of_others(), [Path(name).read_bytes() for name in _RESOLVING if Path(name).exists()])

    def _connected(self) -> socket.socket:
        return socket.create_connection(self._server.getsockname(), 10)

    def _ask(self, connection: socket.socket) -> None:
        connection.sendall(b"how are you")
        assert connection.recv(100) == b"how are you"

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=_echo, args=(connection,), daemon=True).start()


def _echo(connection: socket.socket) -> None:
    with connection, suppress(OSError):
        while said := connection.recv(100):
            connection.sendall(said)
