"""What a real Envoy counts of HTTP calls, on both sides."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from figures import counted
from policy_mesh import Mesh, at, mesh, meshed, until
from tulle.ir.policies import Policy

_BACKEND = meshed(Policy())
_PEER = "reviews-v1.default.reviews.v1.reviews.v1.workload"
_ID = "spiffe://cluster.local/ns/default/sa/reviews"
_OK = {"response_code": "200", "response_flags": "-", "grpc_status": ""}


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Mesh]:
    async with mesh(tmp_path) as found:
        yield found


async def test_both_sides_count_a_call_and_say_who_the_other_is(running: Mesh) -> None:
    program = await running.program("one")
    await running.behind_sidecars(_BACKEND, program)
    running.tell(_BACKEND, at("", running.ports["inbound.one"], peer=_PEER))
    await _until_told(running)

    await running.call(_BACKEND)

    seen = await counted(running, "requests_total", reporter="source", peer=_PEER)
    assert seen.tags == {
        "reporter": "source",
        "cluster": "outbound|80||reviews.default.svc.cluster.local",
        "route": "",
        "peer": _PEER,
        "peer_id": _ID,
        **_OK,
    }
    served = await counted(running, "requests_total", reporter="destination")
    assert served.tags["peer_id"] == _ID
    assert served.tags["port"] == "reviews.default.svc.cluster.local:80"
    for name in ("request_duration_milliseconds", "request_bytes", "response_bytes"):
        assert (await counted(running, f"{name}_count", reporter="source", peer=_PEER)).value == 1


async def _until_told(mesh: Mesh) -> None:
    """What comes of a file is there a moment later."""

    async def told() -> bool:
        return _PEER in await mesh.admin("/config_dump?include_eds")

    await until(told)
