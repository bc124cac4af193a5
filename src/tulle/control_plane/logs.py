"""How the control plane speaks: one line an event on stderr, as text or as JSON; the last of them are kept for `tulle logs`."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

from tulle.api.own_log import OWN_LOG
from tulle.config import LogFormat
from tulle.model.log_lines import LogLine, Ring

_MOST = 300
_LIBRARIES = ("uvicorn", "grpc", "asyncio", "httpx", "httpcore")
_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


def set_up(log_format: LogFormat) -> None:
    """From now on everything that is logged goes to stderr in this format."""
    handler = _Handler(OWN_LOG.ring, is_json=log_format == "json")
    root = logging.getLogger()
    root.handlers[:] = [handler]
    OWN_LOG.set_level("info")
    for loud in _LIBRARIES:
        logging.getLogger(loud).setLevel(logging.WARNING)


def plain(text: str) -> str:
    """What somebody else says, as part of a line: it can neither fill the log nor begin a line of its own."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:_MOST])
    return f"{shown}…" if len(text) > _MOST else shown


class _Handler(logging.StreamHandler[Any]):
    def __init__(self, ring: Ring, *, is_json: bool) -> None:
        super().__init__(sys.stderr)
        self._ring = ring
        self._is_json = is_json

    def format(self, record: logging.LogRecord) -> str:
        more = {name: _plain(value) for name, value in record.__dict__.items() if name not in _OWN}
        if record.exc_info:
            more["exception"] = logging.Formatter().formatException(record.exc_info)
        level = {"critical": "error", "warn": "warning"}.get(record.levelname.lower(), record.levelname.lower())
        logger = record.name.removeprefix("tulle.")
        line = self._ring.add(level, logger, record.getMessage(), record.created, **more)
        return line.json() if self._is_json else _text(line)


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | None) else str(value)


def _text(line: LogLine) -> str:
    at = time.strftime("%H:%M:%S", time.localtime(line.time))
    level = "" if line.level in ("debug", "info") else f"{line.level}: "
    text = f"{at} {level}{line.message}"
    return f"{text}\n{line.more['exception']}" if "exception" in line.more else text
