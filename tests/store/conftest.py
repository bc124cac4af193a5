"""A store of every kind, empty, for the tests of what they have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from tulle.store.contract import Store
from tulle.store.sqlite import open_store

Opened = Callable[[], AbstractAsyncContextManager[Store]]


@pytest.fixture(params=["sqlite"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """Opens the same store at each call; one call at a time."""
    kinds: dict[str, Opened] = {"sqlite": partial(open_store, tmp_path / "state")}
    return kinds[request.param]


@pytest.fixture
async def store(opened: Opened) -> AsyncIterator[Store]:
    async with opened() as store:
        yield store
