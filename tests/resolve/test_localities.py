"""Which endpoints a caller uses first, by place and by label, and how places share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tulle.ir.types import Endpoint, Locality
from tulle.model.resources.destination_rule import LocalityLoadBalancerSetting
from tulle.resolve.localities import Placed, localities

HERE = "eu/a/1"
PLACES = ("eu/a/1", "eu/a/2", "eu/b/1", "us/a/1", "ap/a/1")


def at(place: str, port: int = 1, labels: Mapping[str, str] = {}, weight: int = 1) -> Placed:
    return place, labels, Endpoint("127.0.0.1", port, weight=weight)


def setting(**said: Any) -> LocalityLoadBalancerSetting:
    return msgspec.convert(said, LocalityLoadBalancerSetting)


def priorities(found: tuple[Locality, ...]) -> dict[str, int]:
    return {locality.name: locality.priority for locality in found}


def weights(found: tuple[Locality, ...]) -> dict[str, int]:
    return {locality.name: locality.weight for locality in found}


def test_a_mesh_without_places_has_one_group() -> None:
    endpoints = [at("", 2), at("", 1)]
    expected = (Locality(0, "", (Endpoint("127.0.0.1", 1), Endpoint("127.0.0.1", 2))),)
    assert localities(endpoints, "", {}, setting(), True) == expected
    assert localities(endpoints, "", {}, None, False) == expected
    assert localities([], "", {}, setting(), True) == ()


def test_without_failover_all_places_are_used_alike() -> None:
    endpoints = [at(place) for place in PLACES]
    for found in (localities(endpoints, HERE, {}, None, True), localities(endpoints, HERE, {}, setting(), False)):
        assert set(priorities(found).values()) == {0}
        assert set(weights(found).values()) == {0}


def test_the_nearest_comes_first_subzone_zone_region() -> None:
    found = localities([at(place) for place in PLACES], HERE, {}, setting(), True)
    assert priorities(found) == {"eu/a/1": 0, "eu/a/2": 1, "eu/b/1": 2, "us/a/1": 3, "ap/a/1": 3}
    assert set(weights(found).values()) == {0}


def test_priorities_have_no_gaps() -> None:
    found = localities([at("eu/b/1"), at("us/a/1")], HERE, {}, setting(), True)
    assert priorities(found) == {"eu/b/1": 0, "us/a/1": 1}


def test_a_failover_says_which_region_is_next() -> None:
    to_us = setting(failover=[{"from": "eu", "to": "us"}, {"from": "us", "to": "eu"}])
    found = localities([at(place) for place in PLACES], HERE, {}, to_us, True)
    assert priorities(found) == {"eu/a/1": 0, "eu/a/2": 1, "eu/b/1": 2, "us/a/1": 3, "ap/a/1": 4}
    assert set(weights(found).values()) == {1}, "a place without a weight would be given nothing"


def test_labels_in_order_decide_who_is_first() -> None:
    endpoints = [
        at("eu/a/1", 1, {"version": "v1", "network": "n1"}),
        at("eu/a/1", 2, {"version": "v1", "network": "n2"}),
        at("us/a/1", 3, {"version": "v2", "network": "n1"}, weight=3),
    ]
    ours = {"version": "v1", "network": "n1"}
    found = localities(endpoints, HERE, ours, setting(failoverPriority=["version", "network"]), True)
    assert [(f.priority, f.name, [e.port for e in f.endpoints], f.weight) for f in found] == [
        (0, "eu/a/1", [1], 1),
        (1, "eu/a/1", [2], 1),
        (2, "us/a/1", [3], 3),
    ]


def test_a_label_with_a_value_stands_for_the_callers_own() -> None:
    endpoints = [at("eu/a/1", 1, {"version": "v1"}), at("eu/a/1", 2, {"version": "v2"})]
    found = localities(endpoints, HERE, {"version": "v1"}, setting(failoverPriority=["version=v2"]), True)
    assert [(f.priority, f.endpoints[0].port) for f in found] == [(0, 2), (1, 1)]


def test_a_place_counts_as_labels_too() -> None:
    zones = setting(failoverPriority=["topology.kubernetes.io/region", "topology.kubernetes.io/zone"])
    found = localities([at(place) for place in ("eu/a/2", "eu/b/1", "us/a/1")], HERE, {}, zones, True)
    assert priorities(found) == {"eu/a/2": 0, "eu/b/1": 1, "us/a/1": 2}


def test_labels_come_before_regions() -> None:
    both = setting(failoverPriority=["version"], failover=[{"from": "eu", "to": "us"}])
    v1, v2 = {"version": "v1"}, {"version": "v2"}
    endpoints = [at("ap/a/1", 1, v1), at("us/a/1", 2, v1), at("eu/a/1", 3, v2)]
    found = localities(endpoints, HERE, v1, both, True)
    assert [(f.priority, f.endpoints[0].port) for f in found] == [(0, 2), (1, 1), (2, 3)]


def test_what_is_distributed_is_shared_as_said_and_the_rest_gets_nothing() -> None:
    to = {"eu/a/*": 80, "us/a/1": 20}
    rules = setting(distribute=[{"from": "ap", "to": {"ap": 100}}, {"from": "eu/*", "to": to}])
    endpoints = [at("eu/a/1", 1), at("eu/a/1", 2), at("eu/a/1", 3), at("eu/a/2"), at("us/a/1"), at("ap/a/1")]
    found = localities(endpoints, HERE, {}, rules, True)
    assert weights(found) == {"eu/a/1": 60, "eu/a/2": 20, "us/a/1": 20}
    assert set(priorities(found).values()) == {0}


def test_a_caller_of_whom_no_distribution_speaks_uses_all() -> None:
    rules = setting(distribute=[{"from": "ap/*", "to": {"ap": 100}}])
    endpoints = [at("eu/a/1", 1, weight=4), at("us/a/1")]
    assert weights(localities(endpoints, HERE, {}, rules, False)) == {"eu/a/1": 4, "us/a/1": 1}
