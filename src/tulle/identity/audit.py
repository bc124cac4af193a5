"""The audit log: who was given what, and who changed what, a line of JSON each, in `<data>/audit.log`.

It is written by a thread of its own, so that nobody waits for a disk. A log that can't be written stops nothing: the mesh
goes on, lines are counted as lost, and the control plane's own log says so. No secret is ever a field of an Event.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

MOST_BYTES = 16 * 1024 * 1024  # then it becomes audit.log.1, and what that was is gone
_MOST_WAITING = 10_000
_AT_ONCE = 500
_MOST_WORDS = 1000  # characters
_MOST_VALUE = 64 * 1024

_log = logging.getLogger(__name__)


class Event(Struct, frozen=True, omit_defaults=True):
    """time: Unix time in seconds. event: what happened, a few words. who: brought it about. The rest as it applies."""

    time: float
    event: str
    who: str
    what: str = ""
    spiffe_id: str = ""
    serial: str = ""
    not_after: int = 0
    reason: str = ""
    before: Any = None
    after: Any = None


Audit = Callable[[Event], None]


def nobody(event: Event) -> None:
    """An audit log that is not kept."""


@contextmanager
def opened(path: Path, most_bytes: int = MOST_BYTES) -> Iterator[Audit]:
    """Within the block events are taken; all that were are written when it ends. May be called by any thread."""
    log = _AuditLog(path, most_bytes)
    thread = threading.Thread(target=log.run, name="audit log", daemon=True)
    thread.start()
    try:
        yield log.take
    finally:
        log.end()
        thread.join()


class _AuditLog:
    def __init__(self, path: Path, most_bytes: int) -> None:
        self._path, self._most_bytes = path, most_bytes
        self._events: queue.Queue[Event | None] = queue.Queue()
        self._lost = 0
        self._is_failing = False

    def take(self, event: Event) -> None:
        if self._events.qsize() >= _MOST_WAITING:
            self._lost += 1
        else:
            self._events.put_nowait(event)

    def end(self) -> None:
        self._events.put_nowait(None)

    def run(self) -> None:
        while True:
            events: list[Event | None] = [self._events.get()]
            while len(events) < _AT_ONCE and events[-1] is not None:
                try:
                    events.append(self._events.get_nowait())
                except queue.Empty:
                    break
            self._write([event for event in events if event is not None])
            if events[-1] is None:
                return

    def _write(self, events: list[Event]) -> None:
        lines = b"".join(_line(event) for event in events)
        try:
            if self._size() + len(lines) > self._most_bytes:
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            descriptor = os.open(
                self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
            try:
                os.fchmod(descriptor, 0o600)
                _write_whole(descriptor, lines)
            finally:
                os.close(descriptor)
        except OSError as error:
            self._lost += len(events)
            if not self._is_failing:
                _log.warning("can't write to %s, the mesh goes on without: %s", self._path, error.strerror or error)
            self._is_failing = True
            return
        if self._lost:
            _log.warning("%s is written again; %d events are missing in it", self._path, self._lost)
        self._lost, self._is_failing = 0, False

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0


def _line(event: Event) -> bytes:
    """All but ASCII escaped: others chose some of the words, and a terminal obeys more than the old control characters.

    Words are cut, and values that are very long left out: nobody fills the log with one request.
    """
    fields = {name: _cut(value) for name, value in msgspec.to_builtins(event).items()}
    return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= _MOST_WORDS else f"{value[:_MOST_WORDS]}..."
    if isinstance(value, dict | list) and len(json.dumps(value)) > _MOST_VALUE:
        return "(too long to be kept here)"
    return value


def _write_whole(descriptor: int, lines: bytes) -> None:
    """All or, as far as that can be, nothing: half a line would spoil the next. Raises OSError."""
    size = os.fstat(descriptor).st_size
    try:
        left = memoryview(lines)
        while left:
            left = left[os.write(descriptor, left) :]
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, size)
        raise
