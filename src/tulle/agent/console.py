"""What the agent tells its user: on stderr, beside the program's own output, or in a file (`--log-file`).

What is not urgent waits while an interactive program has the terminal: it would be written into its screen.
With a file, standard output and standard error are the program's alone, but for what ends the agent: that is told on
both, for who starts a program looks there.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from tulle.model.log_lines import LogLine, Ring, is_told

_MOST_WAITING = 100


class Console:
    """Writes short lines: `tulle | ...`, or one JSON object a line."""

    def __init__(
        self, log_format: str, instance: str, stream: TextIO | None = None, *, log_file: str | None = None
    ) -> None:
        """must_wait: to be set; whether the terminal is the program's at the moment. status: to be set; is told each
        message as well, whatever becomes of it. ring: the last messages, and from which level on they are told.

        log_file: is appended to; one that can't be is said on the stream, which is then written to in its place.
        """
        self._json = log_format == "json"
        self.instance = instance
        self._stream = stream or sys.stderr
        self._file: TextIO | None = None
        self._waiting: deque[LogLine] = deque(maxlen=_MOST_WAITING)
        self.ring = Ring()
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
        line = self._line("error", message)
        self._write(line)
        if self._file:
            self._write(line, self._stream)

    def _line(self, level: str, message: str) -> LogLine:
        return self.ring.add(level, "agent", message, instance=self.instance)

    def _write_in_time(self, level: str, message: str) -> None:
        self.status(message)
        line = self._line(level, message)
        if not is_told(level, self.ring.least):
            return
        if not self._file and self._stream.isatty() and self.must_wait():
            self._waiting.append(line)
        else:
            self._write_waiting()
            self._write(line)

    def _write_waiting(self) -> None:
        while self._waiting:
            self._write(self._waiting.popleft())

    def _write(self, line: LogLine, stream: TextIO | None = None) -> None:
        # Whoever read our messages may have gone (`tulle run ... 2>&1 | head`), or the disk may be full: the workload
        # goes on all the same.
        with suppress(OSError, ValueError):
            print(self._text(line), file=stream or self._file or self._stream, flush=True)

    def _text(self, line: LogLine) -> str:
        if self._json:
            return line.json()
        when = f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} " if self._file else ""
        return "\n".join(f"{when}tulle | {part}" for part in line.message.splitlines())
