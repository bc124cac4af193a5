"""Declared resources on a real store."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tulle.sources.stored import Declared
from tulle.store.contract import Store
from tulle.store.sqlite import open_store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "state") as store:
        yield store


@pytest.fixture
def declared(store: Store) -> Declared:
    """Its clock goes on by a second each time."""
    return Declared(store, itertools.count(1000.0).__next__)
