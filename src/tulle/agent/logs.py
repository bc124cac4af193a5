"""The agent's last lines and its Envoy's, told when the control plane asks; and of which level they are from now on.

A wish is `{"id": ..., "level": ..., "after": N, "from": LEVEL, "since": UNIX}`, all but the id as one likes; the answer, a
report, has the same id.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from tulle.agent.api import Refused
from tulle.agent.reports import Reports
from tulle.model.log_lines import LEVELS, LogLine, Ring, is_told, rfc3339

# Envoy's default form of a line: [2026-01-02 03:04:05.678][12][warning][config] [source/file.cc:1] text
_ENVOY = re.compile(
    rb"\[[^\]]+\]\[[^\]]+\]\[(trace|debug|info|warning|error|critical)\]\[([a-z_0-9]+)\] (.*)", re.DOTALL
)
_ENVOY_LEVELS = {"trace": "debug", "critical": "error"}
_MOST_WAITING = 20
_START_LEVEL = "info"
ENVOY_START_LEVEL = "warning"


class AgentLogs:
    """ring: of the console. set_envoy: sets the level of all its processes; raises OSError. instance: the proxy's id."""

    def __init__(self, ring: Ring, instance: str, set_envoy: Callable[[str], Awaitable[None]]) -> None:
        self._ring = ring
        self._instance = instance
        self._set_envoy = set_envoy
        self._last = ENVOY_START_LEVEL, "envoy"  # what the last message of Envoy's was
        self._wishes: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue(_MOST_WAITING)

    def said(self, line: bytes) -> None:
        """A line of Envoy's own log. Further lines of a message are kept of troubles alone: others are what it was sent."""
        found = _ENVOY.match(line)
        if found:
            level = found[1].decode()
            self._last = _ENVOY_LEVELS.get(level, level), f"envoy.{found[2].decode()}"
        level, logger = self._last
        if not is_told(level, self._ring.least) or not (found or is_told(level, ENVOY_START_LEVEL)):
            return
        text = (found[3] if found else line).decode(errors="replace")
        shown = "".join(c if c.isprintable() else "?" for c in text)
        self._ring.add(level, logger, shown, instance=self._instance)

    def wish(self, value: Any) -> None:
        """What is too much is not answered."""
        if isinstance(value, dict) and not self._wishes.full():
            self._wishes.put_nowait(value)

    async def renew(self) -> None:
        """A new Envoy is there, which begins with its own level."""
        if self._ring.least != _START_LEVEL:
            await self._set_envoy(self._ring.least)

    async def run(self, reports: Reports) -> None:
        """Answers, until it is cancelled."""
        while True:
            answer = json.dumps(await self._answer(await self._wishes.get())).encode()
            with suppress(OSError, Refused):  # nobody waits for it any more
                await reports.send(answer)

    async def _answer(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        problem = ""
        level = str(wanted.get("level", ""))
        if level in LEVELS:
            self._ring.least = level
            try:
                await self._set_envoy(ENVOY_START_LEVEL if level == _START_LEVEL else level)
            except OSError as error:
                problem = str(error)
        least = str(wanted.get("from", LEVELS[0]))
        lines: list[LogLine] = []
        try:
            if least in LEVELS:
                lines = self._ring.lines(int(wanted.get("after", 0)), least, float(wanted.get("since", 0)))
        except (TypeError, ValueError, OverflowError):
            problem = "its agent does not understand what is wanted; is it of another version?"
        told = [{**line._asdict(), "time": rfc3339(line.time), "more": dict(line.more)} for line in lines]
        return {"id": str(wanted.get("id", "")), "level": self._ring.least, "lines": told, "problem": problem}
