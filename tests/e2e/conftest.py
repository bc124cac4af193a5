"""A mesh for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modes import MODES, skip_unless_possible
from running import Mesh


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    with Mesh(tmp_path) as running:
        yield running


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """A mode of capture that this machine allows."""
    name = str(request.param)
    skip_unless_possible(name)
    return name
