"""Lines of logs as the API shows them."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from tulle.model.log_lines import LogLine, rfc3339


class LogLineView(Struct, omit_defaults=True):
    """number: ascending, of one process; `after` asks for those behind it. time: RFC 3339. more: further fields."""

    number: int
    time: str
    level: str
    logger: str
    message: str
    more: dict[str, Any] = {}


class LogsView(Struct):
    """proxy: whose; "" for the control plane. level: of which lines are kept from now on. lines: the oldest first."""

    proxy: str
    level: str
    lines: list[LogLineView] = []


def shown(line: LogLine) -> LogLineView:
    return LogLineView(line.number, rfc3339(line.time), line.level, line.logger, line.message, dict(line.more))
