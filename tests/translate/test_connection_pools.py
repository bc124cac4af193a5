"""Limits are felt as Istio documents them, also where a connection between sidecars could carry everything."""

from __future__ import annotations

import asyncio
import json

import pytest

from policy_mesh import Mesh, Program, at, meshed, plain, until
from tulle.ir.policies import ConnectionPool, Policy, RetryBudget
from tulle.ir.types import Backend, Endpoint, Locality
from tulle.model.workload import Protocol

CLUSTER = "cluster.outbound|80||reviews.default.svc.cluster.local."


async def held(running: Mesh, backend: Backend, program: Program, number: int) -> list[asyncio.Task[object]]:
    """So many calls, of which the program answers none yet; the first is with it."""
    program.free.clear()
    calls: list[asyncio.Task[object]] = []
    while len(calls) < number:
        calls.append(asyncio.ensure_future(running.call(backend)))
        await until(lambda: program.active >= 1)
        await until(lambda: _under_way(running, len(calls)))
    return calls


async def _under_way(running: Mesh, number: int) -> bool:
    waiting = await running.stat(CLUSTER + "upstream_rq_pending_active")
    active = await running.stat(CLUSTER + "upstream_rq_active")
    refused = await running.stat(CLUSTER + "upstream_rq_pending_overflow")
    return waiting + active + refused >= number


async def test_of_three_calls_over_one_connection_one_waits_and_one_is_refused(running: Mesh) -> None:
    """The limits of Istio's task on circuit breaking: maxConnections 1, http1MaxPendingRequests 1."""
    pool = ConnectionPool(max_connections=1, max_pending_requests=1, max_requests_per_connection=1)
    backend, program = meshed(Policy(pool=pool)), await running.program("a")
    await running.behind_sidecars(backend, program)
    first, second = await held(running, backend, program, 2)
    refused = await asyncio.wait_for(running.call(backend), 5)
    assert refused.status == 503
    said = json.loads(refused.text)
    assert said["flags"] == "UO" and "is over a limit" in said["error"]
    assert program.active == 1, "the second waits in the caller's sidecar"
    program.free.set()
    assert [call.text for call in await asyncio.gather(first, second)] == ["a", "a"]  # type: ignore[attr-defined]
    assert program.most_active == 1


async def test_an_instance_refuses_what_all_its_callers_together_are_too_many_of(running: Mesh) -> None:
    backend, program = meshed(Policy()), await running.program("a")
    limit = ConnectionPool(max_connections=1, max_pending_requests=1)
    await running.behind_sidecars(backend, program, pool=limit)
    calls = await held(running, backend, program, 2)
    pending = "cluster.inbound|80|a|once.upstream_rq_pending_active"
    await until(lambda: _equals(running, pending, 1))
    refused = await asyncio.wait_for(running.call(backend), 5)
    assert refused.status == 503
    said = json.loads(refused.text)
    assert said["flags"] == "UO" and "behind this sidecar" in said["error"]
    program.free.set()
    await asyncio.gather(*calls)
    assert program.most_active == 1


async def _equals(running: Mesh, stat: str, value: int) -> bool:
    return await running.stat(stat) == value


async def test_as_many_calls_as_connections_are_under_way_at_once(running: Mesh) -> None:
    backend = meshed(Policy(pool=ConnectionPool(max_connections=3, max_pending_requests=1)))
    program = await running.program("a")
    await running.behind_sidecars(backend, program)
    calls = await held(running, backend, program, 4)
    await until(lambda: program.active == 3)
    assert (await running.call(backend)).status == 503
    program.free.set()
    await asyncio.gather(*calls)
    assert program.most_active == 3
    assert await running.stat(CLUSTER + "upstream_cx_total") == 3


async def test_where_connections_are_not_counted_one_carries_all(running: Mesh) -> None:
    backend, program = meshed(Policy()), await running.program("a")
    await running.behind_sidecars(backend, program)
    calls = await held(running, backend, program, 20)
    program.free.set()
    await asyncio.gather(*calls)
    assert await running.stat(CLUSTER + "upstream_cx_total") == 1


@pytest.mark.parametrize("transport", [meshed, plain])
async def test_a_call_over_the_limit_of_requests_is_refused_at_once(running: Mesh, transport: type[Backend]) -> None:
    backend, program = transport(Policy(pool=ConnectionPool(max_requests=2))), await running.program("a")  # type: ignore[arg-type, call-arg]
    if transport is meshed:
        await running.behind_sidecars(backend, program)
    else:
        running.tell(backend, at("", program.port))
        await running.start(backend)
    calls = await held(running, backend, program, 2)
    refused = await asyncio.wait_for(running.call(backend), 5)
    assert (refused.status, json.loads(refused.text)["flags"]) == (503, "UO")
    program.free.set()
    await asyncio.gather(*calls)
    assert (await running.call(backend)).text == "a"


@pytest.mark.parametrize("protocol", [Protocol.HTTP])
async def test_a_connection_carries_no_more_requests_than_said(running: Mesh, protocol: Protocol) -> None:
    backend = meshed(Policy(pool=ConnectionPool(max_requests_per_connection=2)))
    program = await running.program("a")
    await running.behind_sidecars(backend, program, protocol=protocol)
    assert await running.calls(backend, 6) == {"a": 6}
    assert await running.stat(CLUSTER + "upstream_cx_total") == 3


async def test_an_idle_connection_is_closed(running: Mesh) -> None:
    backend, program = plain(Policy(pool=ConnectionPool(http_idle_timeout=100_000_000))), await running.program("a")
    running.tell(backend, at("", program.port))
    await running.start(backend)
    await running.call(backend)
    await until(lambda: _is(running, "upstream_cx_active", 0))
    await running.call(backend)
    assert program.connections == 2


async def _is(running: Mesh, stat: str, value: int) -> bool:
    return await running.stat(CLUSTER + stat) == value


async def test_tcp_connections_over_the_limit_are_closed_at_once(running: Mesh) -> None:
    backend = plain(Policy(pool=ConnectionPool(max_connections=1)), tcp=True)
    program = await running.program("a")
    program.free.clear()
    running.tell(backend, at("", program.port))
    await running.start(backend)
    first = asyncio.ensure_future(running.call(backend))
    await until(lambda: program.active == 1)
    reader, writer = await asyncio.open_connection("127.0.0.1", next(iter(running.ports.values())))
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    program.free.set()
    assert (await first).text == "a"


@pytest.mark.parametrize("limit", ["tcp_idle_timeout", "max_connection_duration"])
async def test_an_idle_tcp_connection_and_an_old_one_are_closed(running: Mesh, limit: str) -> None:
    backend = plain(Policy(pool=ConnectionPool(**{limit: 200_000_000})), tcp=True)  # type: ignore[arg-type]
    program = await running.program("a")
    running.tell(backend, at("", program.port))
    await running.start(backend)
    reader, writer = await asyncio.open_connection("127.0.0.1", next(iter(running.ports.values())))
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_a_call_that_takes_too_long_to_connect_ends(running: Mesh) -> None:
    backend = plain(Policy(pool=ConnectionPool(connect_timeout=100_000_000)))
    running.tell(backend, Locality(0, "", (Endpoint("192.0.2.1", 9),)))  # TEST-NET-1: nobody is there
    await running.start(backend)
    answer = await asyncio.wait_for(running.call(backend), 5)
    assert answer.status == 503 and json.loads(answer.text)["flags"] in ("UF", "UF,URX")


async def test_a_budget_of_retries_is_valid(running: Mesh) -> None:
    policy = Policy(retry_budget=RetryBudget(25.0, 2, 10**9), pool=ConnectionPool(max_retries=1))
    backend, program = plain(policy), await running.program("a")
    running.tell(backend, at("", program.port))
    await running.start(backend)
    assert (await running.call(backend)).text == "a"
