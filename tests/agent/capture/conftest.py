"""A network namespace of the test's own, so that the host's netfilter stays as it is.

A thread can be in another network namespace than its process (unshare(2)), and so can the processes that it starts. The
namespace is gone with the thread and its sockets.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest

from machine import excused

_NEW_NETWORK = 0x40000000  # sched.h, CLONE_NEWNET
_UP_AND_RUNNING, _SET_FLAGS = 0x41, 0x8914  # net/if.h; linux/sockios.h, SIOCSIFFLAGS
_NETLINK_NETFILTER, _INET = 12, 1
_GET_TABLE, _GET_CHAIN, _GET_RULE, _GET_ELEMENTS, _GET_SET = 1, 4, 7, 13, 10


class PrivateNetwork:
    """Work is done in its thread: `network.do(function, argument)`."""

    def __init__(self) -> None:
        self._work: list[tuple[Future[Any], Callable[[], Any]]] = []
        self._there = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True, name="private network")
        self._thread.start()
        self.do(_enter)

    def do(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Its result. Sockets and processes that it makes belong to this network."""
        future: Future[Any] = Future()
        self._work.append((future, lambda: function(*arguments)))
        self._there.release()
        return future.result(60)

    @contextmanager
    def within(self, manager: Callable[[], Any]) -> Iterator[Any]:
        """A context manager whose making, beginning and end happen in this network."""
        entered = self.do(manager)
        value = self.do(entered.__enter__)
        try:
            yield value
        finally:
            self.do(entered.__exit__, None, None, None)

    def close(self) -> None:
        self._there.release()
        self._thread.join()

    def _run(self) -> None:
        while self._there.acquire() and self._work:
            future, work = self._work.pop(0)
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)


@pytest.fixture
def new_network() -> Iterator[Callable[[], PrivateNetwork]]:
    """Makes networks with nothing but a loopback interface."""
    if os.geteuid() != 0:
        pytest.skip("a network namespace of its own is for root")
    made: list[PrivateNetwork] = []

    def make() -> PrivateNetwork:
        try:
            made.append(PrivateNetwork())
        except OSError as error:
            excused("netns", str(error))
        return made[-1]

    yield make
    for network in made:
        network.close()


@pytest.fixture
def network(new_network: Callable[[], PrivateNetwork]) -> PrivateNetwork:
    return new_network()


@pytest.fixture
def ruleset() -> Callable[[], bytes]:
    """All that netfilter's tables hold in the network of the calling thread."""
    return lambda: b"".join(map(dumped, (_GET_TABLE, _GET_CHAIN, _GET_RULE, _GET_SET)))


def dumped(kind: int, attributes: bytes = b"") -> bytes:
    """The messages that answer this kind of question, without their headers and generation numbers."""
    found = b""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as asking:
        body = struct.pack("BBH", 0, 0, 0) + attributes
        asking.send(struct.pack("=IHHII", 16 + len(body), 10 << 8 | kind, 0x301, 1, 0) + body)  # request, dump
        while True:
            data = asking.recv(1 << 18)
            while data:
                length, answer = struct.unpack_from("=IH", data)
                if answer == 3:  # NLMSG_DONE
                    return found
                assert answer != 2, f"refused: {data!r}"
                found += data[20:length]
                data = data[length + 3 & ~3 :]


def _enter() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_NETWORK) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14s", b"lo", _UP_AND_RUNNING, b""))
