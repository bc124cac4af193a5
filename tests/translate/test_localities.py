"""When a place fails, the next one serves, until it is back; and places share as they are told to."""

from __future__ import annotations

import msgspec

from policy_mesh import Mesh, plain, until
from tulle.ir.policies import Balance, LoadBalancing, Outliers, Policy
from tulle.ir.types import Backend, Endpoint
from tulle.model.resources.destination_rule import LocalityLoadBalancerSetting
from tulle.resolve.localities import Placed, localities

SECOND = 1_000_000_000
HERE = "eu/a/1"
OUTLIERS = Outliers(
    consecutive_5xx=1,
    consecutive_gateway=0,
    consecutive_local=0,
    split_local=False,
    interval=SECOND // 10,
    base_ejection=2 * SECOND,
    max_ejection=2 * SECOND,
    max_ejection_percent=100,
    at_least_one=True,
)


def setting(**said: object) -> LocalityLoadBalancerSetting:
    return msgspec.convert(said, LocalityLoadBalancerSetting)


async def served_by(running: Mesh, backend: Backend, name: str) -> bool:
    return (await running.call(backend)).text == name


async def test_when_a_place_fails_the_next_one_serves_and_it_returns(running: Mesh) -> None:
    weighted = LoadBalancing(locality_weighted=True)
    backend = plain(Policy(weighted, outliers=OUTLIERS))
    near, next_, far = [await running.program(name) for name in ("near", "next", "far")]
    places = [("eu/a/1", near), ("us/a/1", next_), ("ap/a/1", far)]
    endpoints: list[Placed] = [(place, {}, Endpoint("127.0.0.1", program.port)) for place, program in places]
    to_us = setting(failover=[{"from": "eu", "to": "us"}])
    running.tell(backend, *localities(endpoints, HERE, {}, to_us, True))
    await running.start(backend)
    assert await running.calls(backend, 6) == {"near": 6}

    near.status = 500
    await until(lambda: served_by(running, backend, "next"))
    next_.status = 500
    await until(lambda: served_by(running, backend, "far"))
    near.status = next_.status = 200
    await until(lambda: served_by(running, backend, "near"))
    assert await running.calls(backend, 6) == {"near": 6}


async def test_places_share_as_they_are_told_to(running: Mesh) -> None:
    backend = plain(Policy(LoadBalancing(Balance.ROUND_ROBIN, locality_weighted=True)))
    near, far, nowhere = [await running.program(name) for name in ("near", "far", "nowhere")]
    places = [("eu/a/1", near), ("us/a/1", far), ("ap/a/1", nowhere)]
    endpoints: list[Placed] = [(place, {}, Endpoint("127.0.0.1", program.port)) for place, program in places]
    distribute = setting(distribute=[{"from": "eu/*", "to": {"eu/a/*": 80, "us/a/*": 20}}])
    running.tell(backend, *localities(endpoints, HERE, {}, distribute, False))
    await running.start(backend)
    assert await running.calls(backend, 50) == {"near": 40, "far": 10}


async def test_labels_decide_who_stands_in(running: Mesh) -> None:
    backend = plain(Policy(LoadBalancing(locality_weighted=True), outliers=OUTLIERS))
    ours, theirs = [await running.program(name) for name in ("ours", "theirs")]
    endpoints: list[Placed] = [
        ("eu/a/1", {"rack": "1"}, Endpoint("127.0.0.1", ours.port)),
        ("eu/a/1", {"rack": "2"}, Endpoint("127.0.0.1", theirs.port)),
    ]
    running.tell(backend, *localities(endpoints, HERE, {"rack": "1"}, setting(failoverPriority=["rack"]), True))
    await running.start(backend)
    assert await running.calls(backend, 4) == {"ours": 4}
    ours.status = 500
    await until(lambda: served_by(running, backend, "theirs"))


async def test_a_locality_can_be_added_and_taken_while_calls_go_on(running: Mesh) -> None:
    backend = plain(Policy(outliers=OUTLIERS))
    near, far = [await running.program(name) for name in ("near", "far")]
    both: list[Placed] = [
        ("eu/a/1", {}, Endpoint("127.0.0.1", near.port)),
        ("us/a/1", {}, Endpoint("127.0.0.1", far.port)),
    ]
    running.tell(backend, *localities(both[1:], HERE, {}, setting(), True))
    await running.start(backend)
    assert await running.calls(backend, 3) == {"far": 3}
    running.tell(backend, *localities(both, HERE, {}, setting(), True))

    await until(lambda: served_by(running, backend, "near"))
    assert await running.calls(backend, 5) == {"near": 5}
