"""What Envoy writes to its standard output, which are access logs to /dev/stdout: passed on to the agent's own.

Envoy itself could not open that again where it is a socket, as systemd gives one, and in a file it would write over what the
program writes. Whoever reads the output slowly, or not at all, holds up neither Envoy nor the agent: what is too much is counted.
"""

from __future__ import annotations

import os
import queue
import select
import threading
from collections.abc import Callable
from contextlib import suppress

_MOST_BYTES = 4 * 1024 * 1024  # that wait to be written
_LONGEST_LINE = 512 * 1024
_END_SECONDS = 1.0
_MORE = b"<the rest may be secret>\n"


class Output:
    """tell: is given a message when lines were lost. A thread writes, once there is something to write."""

    def __init__(self, tell: Callable[[str], None], descriptor: int = 1) -> None:
        self._tell = tell
        self._descriptor = descriptor
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._lost = 0
        self._thread: threading.Thread | None = None

    def write(self, lines: bytes) -> None:
        """Whole lines."""
        with self._lock:
            full = self._waiting + len(lines) > _MOST_BYTES
            self._waiting += 0 if full else len(lines)
        if full:
            self._lost += lines.count(b"\n")
            return
        if self._lost:
            lost, self._lost = self._lost, 0
            self._tell(f"{lost} lines of the access log are lost: nobody reads the output fast enough")
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="access log", daemon=True)
            self._thread.start()
        self._queue.put(lines)

    def close(self) -> None:
        """Waits a moment for what is left."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        while (lines := self._queue.get()) is not None:
            rest = memoryview(lines)
            with suppress(OSError):  # whoever read it may have gone: the program goes on all the same
                while rest:
                    try:
                        rest = rest[os.write(self._descriptor, rest) :]
                    except BlockingIOError:  # a program that shares it may have set it so
                        _wait_for_room(self._descriptor)
            with self._lock:
                self._waiting -= len(lines)


def _wait_for_room(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll()


class Lines:
    """Parts of a stream in, whole lines out to `write`. One that has no end is cut.

    apart: how lines begin that are for `taken`, one by one without its end, and for nobody else; also where one is found within a
    line, as after a line of a format that does not end it. A caller may have sent such a beginning, as its user agent: then the
    line says that there was more.
    """

    def __init__(
        self, write: Callable[[bytes], None], apart: bytes = b"", taken: Callable[[bytes], None] = lambda _: None
    ) -> None:
        self._write = write
        self._apart = apart
        self._taken = taken
        self._rest = b""

    def add(self, part: bytes) -> None:
        whole, newline, self._rest = (self._rest + part).rpartition(b"\n")
        if newline:
            self._hand(whole + newline)
        if len(self._rest) > _LONGEST_LINE:
            is_apart = self._apart and self._apart in self._rest
            self._rest = self._rest[:_LONGEST_LINE] if is_apart else self._rest[-_LONGEST_LINE:]

    def end(self) -> None:
        if self._rest:
            self._hand(self._rest + b"\n")
            self._rest = b""

    def _hand(self, lines: bytes) -> None:
        if not self._apart or self._apart not in lines:
            self._write(lines)
            return
        others = []
        for line in lines.removesuffix(b"\n").split(b"\n"):
            other, found, rest = line.partition(self._apart)
            if found:
                self._taken((found + rest)[:_LONGEST_LINE])
            if other or not found:
                others.append(other + (b"\n" if not found or rest.endswith(b"}") else _MORE))
        if others:
            self._write(b"".join(others))
