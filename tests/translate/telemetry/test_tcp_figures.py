"""What a real Envoy counts of TCP connections, on both sides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from figures import counted, figures
from policy_mesh import Mesh, at, mesh, meshed
from tulle.ir.policies import Policy
from tulle.model.workload import Protocol

_BACKEND = meshed(Policy(), tcp=True)
_CLUSTER = "outbound|80||reviews.default.svc.cluster.local"
_ID = "spiffe://cluster.local/ns/default/sa/reviews"
_REQUEST = b"GET / HTTP/1.1\r\nhost: reviews\r\n\r\n"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Mesh]:
    async with mesh(tmp_path) as found:
        await found.behind_sidecars(_BACKEND, await found.program("one"), protocol=Protocol.TCP)
        yield found


async def test_a_connection_is_counted_when_it_is_made_and_its_bytes_when_it_ends(running: Mesh) -> None:
    async with _connected(running) as (reader, writer):
        writer.write(_REQUEST)
        answer = await reader.readuntil(b"one")
        for reporter in ("source", "destination"):
            opened = await counted(running, "tcp_connections_opened_total", reporter=reporter)
            assert (opened.value, opened.tags["peer_id"], opened.tags["response_flags"]) == (1, _ID, "-")
        assert not [one for one in await figures(running) if one.name == "tcp_connections_closed_total"]

    for reporter in ("source", "destination"):
        assert (await counted(running, "tcp_connections_closed_total", reporter=reporter, peer_id=_ID)).value == 1
        received = await counted(running, "tcp_received_bytes_total", reporter=reporter, peer_id=_ID)
        sent = await counted(running, "tcp_sent_bytes_total", reporter=reporter, peer_id=_ID)
        assert (received.value, sent.value) == (len(_REQUEST), len(answer))
    assert (await counted(running, "tcp_connections_opened_total", reporter="source")).value == 1
    assert sent.tags["port"] == "reviews.default.svc.cluster.local:80"


async def test_a_connection_that_never_came_about_is_counted_as_opened_and_closed_with_the_reason(
    running: Mesh,
) -> None:
    for flags, places in {"UH": [], "UF,URX": [at("", 1)]}.items():
        running.tell(_BACKEND, *places)
        seen = {"reporter": "source", "cluster": _CLUSTER, "response_flags": flags}
        while not [one for one in await figures(running) if seen.items() <= one.tags.items()]:
            async with _connected(running) as (reader, _):
                with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                    await reader.readexactly(1)
        closed = await counted(running, "tcp_connections_closed_total", **seen)
        assert (await counted(running, "tcp_connections_opened_total", **seen)).value == closed.value


@asynccontextmanager
async def _connected(mesh: Mesh) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", mesh.ports[_CLUSTER])
    try:
        yield reader, writer
    finally:
        writer.close()
