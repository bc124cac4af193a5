"""Changes between plain text and mutual TLS under load, of a service with a single instance: no call is lost.

Nothing of it can be repeated: POSTs, calls of gRPC, and connections of TCP with a question each.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import grpc
import pytest

from declaring import apply
from running import Caller, Mesh, wait_for
from test_mutual_tls import certified, door, peers, plain
from wires import free_ports, wired

pytestmark = pytest.mark.soak

CHANGES = ("PERMISSIVE", "DISABLE", "STRICT", "DISABLE", "STRICT")


class Repeated:
    """Something that is done again and again until the end, by several threads."""

    def __init__(self, once: Callable[[], Any], threads: int = 3) -> None:
        self.done, self.failed = 0, list[str]()
        self._once, self._stop = once, threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def more(self, times: int) -> None:
        until = self.done + times
        wait_for(f"{times} more", lambda: self.done >= until, 120)

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._once()
            except Exception as error:  # whatever it is, the caller has not got what it wanted
                self.failed.append(repr(error)[:400])
            self.done += 1


@contextmanager
def repeated(*once: Callable[[], Any]) -> Iterator[list[Repeated]]:
    running = [Repeated(each) for each in once]
    try:
        yield running
    finally:
        for each in running:
            each.end()


def tunnel(caller: Caller, host: str, port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", caller.port), 30)
    made.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = made.recv(1)
        assert byte, head
        head += byte
    assert b" 200 " in head, head
    return made


def test_no_change_loses_a_call(mesh: Mesh) -> None:
    mesh.up()
    mesh.serve("web", options=("--port", "80"))
    wired(mesh, "lines", "lines", "5432/tcp=echo")
    (port,) = free_ports(1)
    mesh.run("calls", "grpc_calls.py", options=("--port", f"9000:{port}/grpc"), PORT=str(port))
    wait_for("the gRPC server is healthy", lambda: mesh.healthy("calls") == 1)
    caller = mesh.caller()
    channel = grpc.insecure_channel("calls:9000", [("grpc.http_proxy", f"http://127.0.0.1:{caller.port}")])

    def post() -> None:
        answer = caller.call("http://web/data", "POST", b"x" * 100)
        assert answer.status == 200, (answer.status, answer.body)

    def line() -> None:
        with tunnel(caller, "lines", 5432) as made:
            made.sendall(b"hello\n")
            said = made.makefile().readline()
            assert said == "lines hello\n", said

    def remote() -> None:
        channel.unary_unary("/any.Service/Unary")(b"hello", timeout=30)

    def followed(mode: str) -> bool:
        """Whether callers and door are as they are to be."""
        if mode == "DISABLE":
            return not certified(caller.call("http://web/data").json())
        return mode != "STRICT" or plain(door(mesh, "web")) is None

    with repeated(post, line, remote) as running:
        for mode in CHANGES:
            for each in running:
                each.more(20)
            apply(mesh, peers(mode))
            wait_for(f"it is {mode}", partial(followed, mode))
        for each in running:
            each.more(20)
    assert not [each.failed for each in running if each.failed]
