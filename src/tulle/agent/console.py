"""What the agent tells its user: on stderr, beside the program's own output, or in a file (`--log-file`).

What is not urgent waits while an interactive program has the terminal: it would be written into its screen.
With a file, standard output and standard error are the program's alone, but for what ends the agent: that is told on
both, for who starts a program looks there.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

_MOST_WAITING = 100


class Console:
    """Writes short lines: `tulle | ...`, or one JSON object a line."""

    def __init__(
        self, log_format: str, instance: str, stream: TextIO | None = None, *, log_file: str | None = None
    ) -> None:
        """must_wait: to be set; whether the terminal is the program's at the moment. status: to be set; is told each
        message as well, whatever becomes of it.

        log_file: is appended to; one that can't be is said on the stream, which is then written to in its place.
        """
        self._json = log_format == "json"
        self._instance = instance
        self._stream = stream or sys.stderr
        self._file: TextIO | None = None
        self._waiting: deque[tuple[str, str]] = deque(maxlen=_MOST_WAITING)
        self.must_wait: Callable[[], bool] = lambda: False
        self.status: Callable[[str], None] = lambda _: None
        if log_file is not None:
            try:
                self._file = open(log_file, "a", encoding="utf-8")  # noqa: PTH123, SIM115  until the process ends
            except OSError as error:
                self.warning(f"can't write to --log-file {log_file}: {error.strerror}; messages come here")

    def info(self, message: str) -> None:
        self._write_in_time("info", message)

    def warning(self, message: str) -> None:
        self._write_in_time("warning", message)

    def error(self, message: str) -> None:
        self.status(message)
        self._write_waiting()
        self._write("error", message)
        if self._file:
            self._write("error", message, self._stream)

    def _write_in_time(self, level: str, message: str) -> None:
        self.status(message)
        if not self._file and self._stream.isatty() and self.must_wait():
            self._waiting.append((level, message))
        else:
            self._write_waiting()
            self._write(level, message)

    def _write_waiting(self) -> None:
        while self._waiting:
            self._write(*self._waiting.popleft())

    def _write(self, level: str, message: str, stream: TextIO | None = None) -> None:
        # Whoever read our messages may have gone (`tulle run ... 2>&1 | head`), or the disk may be full: the workload
        # goes on all the same.
        with suppress(OSError, ValueError):
            print(self._text(level, message), file=stream or self._file or self._stream, flush=True)

    def _text(self, level: str, message: str) -> str:
        if self._json:
            line = {"time": round(time.time(), 3), "level": level, "instance": self._instance, "message": message}
            return json.dumps(line)
        when = f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} " if self._file else ""
        return "\n".join(f"{when}tulle | {line}" for line in message.splitlines())
