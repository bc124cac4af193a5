"""How the control plane speaks: one line an event on stderr, as text or as JSON."""

from __future__ import annotations

import json
import logging
import sys
import time

from tulle.config import LogFormat

_MOST = 300


def set_up(log_format: LogFormat) -> None:
    """From now on everything that is logged goes to stderr in this format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if log_format == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for loud in ("uvicorn", "grpc", "asyncio"):
        logging.getLogger(loud).setLevel(logging.WARNING)


def plain(text: str) -> str:
    """What somebody else says, as part of a line: it can neither fill the log nor begin a line of its own."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:_MOST])
    return f"{shown}…" if len(text) > _MOST else shown


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        text = f"{at} {level}{record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class _Json(logging.Formatter):
    """Times are Unix time in seconds."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)
