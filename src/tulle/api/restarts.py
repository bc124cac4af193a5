"""Restarts of sidecars' Envoys that somebody waits for: asked of an agent over its session, answered over the same.

`{"restart": ID, "within": SECONDS}` goes to the agent, `{"restarted": ID, "error": "..."}` comes back; the error is empty
when a new Envoy has taken over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

_MARGIN_SECONDS = 2.0  # for the agent's answer to arrive


class RestartFailed(Exception):
    """The message is for the user."""


class Restarts:
    """Those under way of one session. say: sends a line to its agent."""

    def __init__(self, say: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        self._say = say
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[str]] = {}

    async def ask(self, seconds: float) -> None:
        """Returns when a new Envoy has taken over. Raises RestartFailed."""
        number = next(self._numbers)
        outcome = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds + _MARGIN_SECONDS):
                await self._say({"restart": number, "within": seconds})
                problem = await outcome
        except TimeoutError:
            problem = f"its agent has not answered within {seconds:g} s"
        finally:
            del self._waiting[number]
        if problem:
            raise RestartFailed(problem)

    def answered(self, number: int, error: str) -> None:
        """The agent says what came of it."""
        outcome = self._waiting.get(number)
        if outcome and not outcome.done():
            outcome.set_result(error)

    def end(self) -> None:
        """The session is over."""
        for number in self._waiting:
            self.answered(number, "its agent has gone, or its session was broken off; look with `tulle proxies`")
