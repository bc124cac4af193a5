"""What a real Envoy counts of HTTP calls, on both sides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from certificates import IDENTITY, write_identity
from figures import counted, figures
from policy_mesh import Mesh, Program, at, mesh, meshed, until
from tulle.agent.epoch import FIGURES
from tulle.agent.figures.exposition import Reader
from tulle.agent.figures.labels import UNKNOWN
from tulle.agent.figures.totals import Flow, Totals
from tulle.ir.policies import Policy
from tulle.model.workload import Protocol

_BACKEND = meshed(Policy())
_CLUSTER = "outbound|80||reviews.default.svc.cluster.local"
_PEER = "reviews-v1.default.reviews.v1.reviews.v1.workload"
_CALLER = "web-v2_d1.default.web.v2_d1.web.v2_d1.workload"
_OK = {"response_code": "200", "response_flags": "-"}


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Mesh]:
    async with mesh(tmp_path) as found:
        yield found


async def test_both_sides_count_a_call_and_say_who_the_other_is(running: Mesh, tmp_path: Path) -> None:
    write_identity(tmp_path, _CALLER)
    await running.behind_sidecars(_BACKEND, await running.program("one"))
    running.tell(_BACKEND, at("", running.ports["inbound.one"], peer=_PEER))
    await until(lambda: _has(running, _PEER))

    await running.call(_BACKEND)

    seen = await counted(running, "requests_total", reporter="source", peer=_PEER)
    assert seen.tags == {
        "reporter": "source",
        "cluster": _CLUSTER,
        "route": "",
        "peer": _PEER,
        "peer_id": IDENTITY,
        **_OK,
    }
    served = await counted(running, "requests_total", reporter="destination")
    assert served.tags == {
        "reporter": "destination",
        "port": "reviews.default.svc.cluster.local:80",
        "peer": _CALLER,
        "peer_id": IDENTITY,
        **_OK,
    }
    for side in (seen, served):
        for name in ("request_duration_milliseconds", "request_bytes", "response_bytes"):
            assert (await counted(running, f"{name}_count", **side.tags)).value == 1
        assert (await counted(running, "request_bytes_sum", **side.tags)).value > 20  # with headers


async def test_a_call_is_added_up_once_however_often_envoy_looks_for_series_to_drop(running: Mesh) -> None:
    running.settings = {"stats_flush_interval": "0.4s", "stats_eviction_interval": "0.4s"}
    await running.behind_sidecars(_BACKEND, await running.program("one"))
    totals = Totals(UNKNOWN)
    reader: Reader[tuple[str, Flow]] = Reader(totals.meaning)
    for calls in range(1, 13):
        await running.call(_BACKEND)

        async def added(calls: int = calls) -> bool:
            reader.read((await running.admin(FIGURES)).splitlines())
            totals.add(reader.finish())
            return min(totals.counted.get(side, 0) for side in ("source", "destination")) >= calls

        await until(added)
        await asyncio.sleep(0.15)
        await added()
        assert totals.counted == {"source": calls, "destination": calls}


async def test_what_failed_is_told_by_envoys_flags(running: Mesh) -> None:
    program = await running.program("one")
    await running.behind_sidecars(_BACKEND, program)
    program.free.clear()
    _, writer = await asyncio.open_connection("127.0.0.1", running.ports[_CLUSTER])
    writer.write(b"GET / HTTP/1.1\r\nhost: reviews\r\n\r\n")
    await until(lambda: program.active)
    writer.close()
    for reporter, flags in {"source": "DC", "destination": "DR"}.items():
        gone = await counted(running, "requests_total", reporter=reporter)
        assert (gone.tags["response_flags"], gone.tags["response_code"]) == (flags, "0")
    program.free.set()

    for flags, places in {"UH": [], "UF": [at("", 1)]}.items():
        running.tell(_BACKEND, *places)
        seen = {"reporter": "source", "response_flags": flags, "response_code": "503"}
        while not [one for one in await figures(running) if seen.items() <= one.tags.items()]:
            assert (await running.call(_BACKEND)).status in (200, 503)
        assert (await counted(running, "requests_total", **seen)).tags["peer_id"] == ""


async def test_messages_of_grpc_are_counted_by_request(running: Mesh) -> None:
    async with _echo() as program:
        backend = meshed(Policy(), http2=True)
        await running.behind_sidecars(backend, program, protocol=Protocol.GRPC)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{running.ports[_CLUSTER]}") as channel:
            for _ in range(2):
                assert len([m async for m in channel.stream_stream("/test.Echo/Twice")(iter([b"a", b"b", b"c"]))]) == 6
            with pytest.raises(grpc.aio.AioRpcError):
                await channel.unary_unary("/test.Echo/Missing")(b"a")

    for reporter in ("source", "destination"):
        for name in ("request_messages_total", "response_messages_total"):
            for messages, times in {"3,6": 2, "1,0": 1}.items():
                count = await counted(running, name, times, reporter=reporter, messages=messages, peer_id=IDENTITY)
                assert count.value == times
                assert "response_code" not in count.tags
        for status, times in {"0": 2, "12": 1}.items():
            ended = {"reporter": reporter, "grpc_status": status, "response_code": "200"}
            assert (await counted(running, "requests_total", times, **ended)).value == times


async def _has(mesh: Mesh, text: str) -> bool:
    return text in await mesh.admin("/config_dump?include_eds")


class _Echo(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Says each message twice."""

    def service(self, call: Any) -> Any:
        async def twice(messages: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
            async for message in messages:
                yield message
                yield message

        return grpc.stream_stream_rpc_method_handler(twice) if call.method.endswith("Twice") else None


@asynccontextmanager
async def _echo() -> AsyncIterator[Program]:
    server = grpc.aio.server(handlers=[_Echo()])
    program = Program("echo")
    program.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield program
    finally:
        await server.stop(0)
