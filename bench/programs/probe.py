"""A client that measures its own look-ups, connections and calls. Python's sockets and libc's resolver, as most programs have."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from bench.asking import obey

_TIMEOUT = 30.0
_NS = 1000


def pid() -> int:
    return os.getpid()


def addresses(name: str) -> list[Any]:
    return socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)


def lookups(name: str, times: int) -> list[float]:
    """Each in microseconds."""
    return _timed(times, lambda: addresses(name))


def connects(address: str, port: int, times: int) -> list[float]:
    """Until connect(2) has returned; what is connected is closed at once, which is not counted."""
    taken = []
    for _ in range(times):
        connection = socket.socket()
        started = time.perf_counter_ns()
        connection.connect((address, port))
        taken.append((time.perf_counter_ns() - started) / _NS)
        connection.close()
    return taken


def requests(address: str, port: int, target: str, times: int) -> list[float]:
    """Over one connection, which has had a few before."""
    with socket.create_connection((address, port), _TIMEOUT) as connection:
        for _ in range(5):
            _get(connection, target)
        return _timed(times, lambda: _get(connection, target))


def calls(address: str, port: int, target: str, times: int) -> list[float]:
    """Each with a look-up, if `address` is a name, and a connection of its own."""
    return _timed(times, lambda: _call(address, port, target))


def storm(address: str, port: int, target: str, processes: int, threads: int, each: int) -> dict[str, Any]:
    """Calls from all the threads at once; an empty target only connects. How long it took, and what went wrong."""
    ready, go = os.pipe(), os.pipe()
    results = []
    for _ in range(processes):
        read, write = os.pipe()
        results.append(read)
        if os.fork() == 0:
            os.close(go[1])
            os.write(ready[1], b"+")
            os.read(go[0], 1)
            os.write(write, json.dumps(_threads(address, port, target, threads, each)).encode())
            os._exit(0)
        os.close(write)
    for _ in range(processes):
        os.read(ready[0], 1)
    started = time.perf_counter()
    os.close(go[1])
    failures: list[str] = []
    for read in results:
        with os.fdopen(read) as said:
            failures += json.loads(said.read() or '["a process died"]')
    seconds = time.perf_counter() - started
    for _ in range(processes):
        os.wait()
    for descriptor in (*ready, go[0]):
        os.close(descriptor)
    return {"seconds": seconds, "failures": failures}


def _threads(address: str, port: int, target: str, number: int, each: int) -> list[str]:
    failures: list[str] = []

    def run() -> None:
        for _ in range(each):
            try:
                _call(address, port, target)
            except OSError as error:
                failures.append(repr(error))

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def _call(address: str, port: int, target: str) -> None:
    with socket.create_connection((address, port), _TIMEOUT) as connection:
        if target:
            _get(connection, target)


def _get(connection: socket.socket, target: str) -> None:
    """Raises OSError if the answer is not 200 and whole."""
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: service-b\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += _received(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise OSError(head.partition(b"\r\n")[0].decode())
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    while len(body) < length:
        body += _received(connection)


def _received(connection: socket.socket) -> bytes:
    if part := connection.recv(65536):
        return part
    raise ConnectionResetError("closed before the answer was whole")


def _timed(times: int, what: Callable[[], Any]) -> list[float]:
    taken = []
    for _ in range(times):
        started = time.perf_counter_ns()
        what()
        taken.append((time.perf_counter_ns() - started) / _NS)
    return taken


if __name__ == "__main__":
    obey({each.__name__: each for each in (pid, addresses, lookups, connects, requests, calls, storm)})
