"""What the agent tells its user, on stderr, beside the program's own output."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from typing import TextIO


class Console:
    """Writes short lines: `tulle | ...`, or one JSON object a line."""

    def __init__(self, log_format: str, instance: str, stream: TextIO | None = None) -> None:
        self._json = log_format == "json"
        self._instance = instance
        self._stream = stream or sys.stderr

    def info(self, message: str) -> None:
        self._write("info", message)

    def warning(self, message: str) -> None:
        self._write("warning", message)

    def error(self, message: str) -> None:
        self._write("error", message)

    def _write(self, level: str, message: str) -> None:
        if self._json:
            line = {"time": round(time.time(), 3), "level": level, "instance": self._instance, "message": message}
            text = json.dumps(line)
        else:
            text = "\n".join(f"tulle | {line}" for line in message.splitlines())
        # Whoever read our messages may have gone (`tulle run ... 2>&1 | head`): the workload goes on all the same.
        with suppress(OSError, ValueError):
            print(text, file=self._stream, flush=True)
