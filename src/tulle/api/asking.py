"""Agents asked over their sessions, `{"do": {"<what>": {"id": ...}}}`; they answer by a report of its own with the same id."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

from msgspec import Struct

_MOST_ASKED = 100

Wish = Callable[[str, str, Any], Awaitable[bool]]


class Answer(Struct):
    id: str


A = TypeVar("A", bound=Answer)


class NoAnswer(Exception):
    """Its text is for people."""


class TooMany(NoAnswer):
    """So many are being asked that no more are."""


class Asking(Generic[A]):
    """wish: has an agent do something (AgentSessions.wish). what: the name of the wish."""

    def __init__(self, wish: Wish, what: str) -> None:
        self._wish = wish
        self._what = what
        self._asked: dict[str, tuple[str, asyncio.Future[A]]] = {}

    async def ask(self, proxy: str, wanted: Mapping[str, Any], seconds: float) -> A:
        """Raises NoAnswer."""
        if len(self._asked) >= _MOST_ASKED:
            raise TooMany(f"{_MOST_ASKED} agents are being asked already; try again")
        id = secrets.token_hex(8)
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._asked[id] = proxy, future
        try:
            async with asyncio.timeout(seconds):
                if not await self._wish(proxy, self._what, {"id": id, **wanted}):
                    raise NoAnswer(f"the agent of {proxy} has no session; is it just starting, or ending?")
                return await future
        except TimeoutError as error:
            raise NoAnswer(f"the agent of {proxy} has not answered within {seconds:g} s") from error
        finally:
            del self._asked[id]

    def is_asked(self, proxy: str) -> bool:
        """Whether somebody waits for an answer of it."""
        return any(asked == proxy for asked, _ in self._asked.values())

    def answered(self, proxy: str, answer: A) -> None:
        """What nobody waits for any more is dropped, and what comes from another than was asked."""
        asked, waiting = self._asked.get(answer.id, ("", None))
        if waiting is not None and asked == proxy and not waiting.done():
            waiting.set_result(answer)
