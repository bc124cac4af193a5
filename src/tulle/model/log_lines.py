"""What control plane and agents say of themselves: the same fields for both, and the last lines of each, kept in memory."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

LEVELS = ("debug", "info", "warning", "error")
MOST_LINES = 1000
LONGEST = 4000  # characters of a message


def rfc3339(at: float) -> str:
    """Unix time in seconds as `2026-01-02T03:04:05.678Z`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_told(level: str, least: str) -> bool:
    """Whether a line of that level is one of those that are told from `least` on."""
    return LEVELS.index(level) >= LEVELS.index(least)


class LogLine(NamedTuple):
    """number: ascending, of one process. time: Unix time in seconds. logger: the part that speaks. more: further fields."""

    number: int
    time: float
    level: str
    logger: str
    message: str
    more: Mapping[str, Any] = {}

    def fields(self) -> dict[str, Any]:
        """As JSON has them."""
        first = {"time": rfc3339(self.time), "level": self.level, "logger": self.logger, "message": self.message}
        return {**first, **self.more}

    def json(self) -> str:
        return json.dumps(self.fields())


class Ring:
    """The last lines. least: of which level they are kept."""

    def __init__(self, least: str = "info") -> None:
        self.least = least
        self._lines: deque[LogLine] = deque(maxlen=MOST_LINES)
        self._number = 0

    def add(self, level: str, logger: str, message: str, at: float | None = None, **more: Any) -> LogLine:
        """Kept or not, the line is made."""
        self._number += 1
        shown = message if len(message) <= LONGEST else f"{message[:LONGEST]}…"
        line = LogLine(self._number, time.time() if at is None else at, level, logger, shown, more)
        if is_told(level, self.least):
            self._lines.append(line)
        return line

    def lines(self, after: int = 0, level: str = "debug", since: float = 0.0) -> list[LogLine]:
        """after: the number of the last line that is known."""
        return [one for one in self._lines if one.number > after and one.time >= since and is_told(one.level, level)]
