"""A declared host is given an address when it is first looked up, and keeps it."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import pytest

from tulle.model.names import ServiceName
from tulle.model.vips import candidates
from tulle.registry.keys import subject_of


@pytest.mark.parametrize("host", ["api.example.com", "*.example.com", "*"])
async def test_a_host_keeps_its_address(registry: Any, host: str) -> None:
    service = ServiceName("", host)
    vip = await registry.address_of(service)
    assert vip == next(candidates(service))
    assert await registry.address_of(service) == vip
    async with aclosing(registry.snapshots()) as snapshots:
        snapshot = await anext(snapshots)
    assert snapshot.services[service].vip == vip


def test_a_key_of_no_host_is_none_of_the_registry() -> None:
    with pytest.raises(ValueError, match="no key"):
        subject_of("registry/services//-")
