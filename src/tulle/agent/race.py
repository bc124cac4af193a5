"""Waiting for the first of several things."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def unless(work: Coroutine[Any, Any, T], *enders: Coroutine[Any, Any, object]) -> T | None:
    """The result of `work`; None if one of the `enders` was done first or at the same moment. Cancels the others."""
    async with asyncio.TaskGroup() as group:
        working = group.create_task(work, name="race: work")
        ending = [group.create_task(ender, name="race: end") for ender in enders]
        await asyncio.wait([working, *ending], return_when=asyncio.FIRST_COMPLETED)
        ended = any(task.done() for task in ending)
        for task in (working, *ending):
            task.cancel()
    return None if ended or working.cancelled() else working.result()
