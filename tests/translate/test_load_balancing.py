"""Whom a real Envoy chooses, for each way of choosing."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from policy_mesh import Answer, Mesh, Program, at, call, plain, until
from tulle.ir.policies import Balance, HashKey, LoadBalancing, Policy
from tulle.ir.types import Endpoint, Locality


async def three(running: Mesh) -> list[Program]:
    return [await running.program(name) for name in "abc"]


def balanced(balance: Balance, key: HashKey | None = None, size: int = 0) -> Policy:
    return Policy(LoadBalancing(balance, key, size))


async def test_round_robin_takes_each_in_turn(running: Mesh) -> None:
    backend = plain(balanced(Balance.ROUND_ROBIN))
    running.tell(backend, at("", *[p.port for p in await three(running)]))
    await running.start(backend)
    assert await running.calls(backend, 30) == {"a": 10, "b": 10, "c": 10}


async def test_random_takes_all_of_them(running: Mesh) -> None:
    backend = plain(balanced(Balance.RANDOM))
    running.tell(backend, at("", *[p.port for p in await three(running)]))
    await running.start(backend)
    found = await running.calls(backend, 90)
    assert min(found.values()) > 10 and len(set(found.values())) > 1


async def test_least_request_avoids_an_instance_that_is_busy(running: Mesh) -> None:
    backend = plain(balanced(Balance.LEAST_REQUEST))
    slow, quick = await running.program("slow"), await running.program("quick")
    slow.free.clear()
    running.tell(backend, at("", slow.port, quick.port))
    await running.start(backend)
    calls: list[asyncio.Task[Answer]] = []
    while len(calls) < 100:
        calls.append(asyncio.ensure_future(running.call(backend)))
        await until(lambda: sum(call.done() for call in calls) + slow.active == len(calls))
    # Two are taken at random, and in one of four times both are the slow one.
    assert 0 < slow.active < 45
    slow.free.set()
    await asyncio.gather(*calls)


async def test_a_weight_is_an_endpoints_share(running: Mesh) -> None:
    backend = plain(balanced(Balance.ROUND_ROBIN))
    one, three_ = await running.program("one"), await running.program("three")
    endpoints = Endpoint("127.0.0.1", one.port), Endpoint("127.0.0.1", three_.port, weight=3)
    running.tell(backend, Locality(0, "", endpoints))
    await running.start(backend)
    assert await running.calls(backend, 40) == {"one": 10, "three": 30}


async def test_a_draining_endpoint_gets_nothing_new(running: Mesh) -> None:
    backend = plain(balanced(Balance.ROUND_ROBIN))
    a, b, _ = await three(running)
    running.tell(
        backend, Locality(0, "", (Endpoint("127.0.0.1", a.port), Endpoint("127.0.0.1", b.port, draining=True)))
    )
    await running.start(backend)
    assert await running.calls(backend, 10) == {"a": 10}


@pytest.mark.parametrize("balance", [Balance.RING_HASH, Balance.MAGLEV])
@pytest.mark.parametrize("key", [HashKey(header="x-user"), HashKey(query_parameter="user")])
async def test_a_hash_keeps_what_is_alike_together(running: Mesh, balance: Balance, key: HashKey) -> None:
    backend = plain(balanced(balance, key, 1021 if balance is Balance.MAGLEV else 64))
    running.tell(backend, at("", *[p.port for p in await three(running)]))
    await running.start(backend)
    chosen = Counter[str]()
    for user in range(20):
        found = await running.calls(backend, 3, f"/?user={user}", [f"x-user: {user}"])
        assert len(found) == 1
        chosen.update(found)
    assert len(chosen) > 1, "different ones are divided"


async def test_a_cookie_is_made_and_leads_back(running: Mesh) -> None:
    key = HashKey(cookie="sticky", cookie_path="/", cookie_ttl=60 * 10**9, cookie_attributes=(("SameSite", "Strict"),))
    backend = plain(balanced(Balance.RING_HASH, key, 1024))
    running.tell(backend, at("", *[p.port for p in await three(running)]))
    await running.start(backend)
    firsts = [await running.call(backend) for _ in range(8)]
    assert len({first.text for first in firsts}) > 1
    for first in firsts:
        cookie = first.headers["set-cookie"]
        assert "Max-Age=60" in cookie and "Path=/" in cookie and "SameSite=Strict" in cookie
        again = await running.calls(backend, 4, headers=["cookie: " + cookie.partition(";")[0]])
        assert again == {first.text: 4}


async def test_a_cookie_without_a_ttl_is_only_taken(running: Mesh) -> None:
    backend = plain(balanced(Balance.RING_HASH, HashKey(cookie="theirs"), 1024))
    running.tell(backend, at("", *[p.port for p in await three(running)]))
    await running.start(backend)
    answer = await running.call(backend, headers=["cookie: theirs=1"])
    assert "set-cookie" not in answer.headers
    assert await running.calls(backend, 5, headers=["cookie: theirs=1"]) == {answer.text: 5}


@pytest.mark.parametrize("tcp", [False, True])
async def test_a_source_address_leads_to_one_instance(running: Mesh, tcp: bool) -> None:
    backend = plain(balanced(Balance.MAGLEV, HashKey(source_ip=True)), tcp=tcp)
    running.tell(backend, at("", *[p.port for p in await three(running)]))
    await running.start(backend)
    assert len(await running.calls(backend, 12)) == 1


async def test_passthrough_goes_to_where_the_connection_was_going(running: Mesh) -> None:
    """Envoy knows no such place for a connection that was made to its own port: it says that there is nobody."""
    backend = plain(balanced(Balance.PASSTHROUGH))
    assert not backend.told
    await running.start(backend)
    answer: Answer = await call(next(iter(running.ports.values())))
    assert answer.status == 503 and "UH" in answer.text
