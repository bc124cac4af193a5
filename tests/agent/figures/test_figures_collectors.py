"""What collectors have not taken, as Envoy's counters tell it."""

from __future__ import annotations

import json
import re
from typing import Any

from tulle.agent import idle
from tulle.agent.figures.collectors import CLUSTERS, FAILURES, FILTER, MOST, Collectors, counted
from tulle.ir.routes import BackendRef
from tulle.model.names import Destination, ServiceName
from tulle.translate import names
from tulle.translate.bootstrap import bootstrap

TO = Destination(ServiceName("default", "otel"), 4317)
CLUSTER = names.backend(BackendRef(TO, telemetry_timeout=5_000_000_000))
OTHER = names.backend(BackendRef(TO, telemetry_timeout=1_500_000_000))
NAME = "otel.default.svc.cluster.local:4317"


def clusters(**failed: int) -> bytes:
    """Envoy's answer, in which a number that is 0 is left out. By the port of a host."""
    hosts: list[Any] = [
        {
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": int(port[1:])}},
            "stats": [{"name": "rq_total", "value": "100"}, {"name": "rq_error", **({"value": str(n)} if n else {})}],
        }
        for port, n in failed.items()
    ]
    return json.dumps({"cluster_statuses": [{"name": CLUSTER, "host_statuses": hosts}]}).encode()


def stats(cluster: str = CLUSTER, **counts: int) -> dict[str, int]:
    return {f"cluster.{cluster}.{name}": value for name, value in counts.items()}


def test_what_failed_at_a_host_and_what_came_to_none_is_added_up() -> None:
    collectors = Collectors()
    first = counted(stats(upstream_cx_none_healthy=3, upstream_rq_max_duration_reached=2), clusters(p1=4, p2=0))
    assert first
    collectors.add({}, first)
    assert collectors.totals == {NAME: 9}
    second = counted(stats(upstream_cx_none_healthy=3, upstream_rq_4xx=1), clusters(p1=4, p2=5))
    assert second
    collectors.add(first, second)
    assert collectors.totals == {NAME: 15}


def test_a_host_that_was_away_begins_anew() -> None:
    collectors = Collectors()
    before, after = counted({}, clusters(p1=7)), counted({}, clusters(p1=2))
    assert before and after
    collectors.add({}, before)
    collectors.add(before, after)
    assert collectors.totals == {NAME: 9}


def test_clusters_that_differ_in_their_timeout_are_one_collector() -> None:
    collectors = Collectors()
    both = counted(stats(upstream_cx_none_healthy=1) | stats(OTHER, upstream_cx_none_healthy=1), clusters())
    collectors.add({}, both or {})
    assert collectors.totals == {NAME: 2}


def test_it_is_told_once() -> None:
    collectors = Collectors()
    collectors.add({}, {(CLUSTER, "upstream_rq_4xx"): 2})
    assert (collectors.told(), collectors.told(), collectors.totals) == ({NAME: 2}, {}, {NAME: 2})


def test_how_many_there_are_is_bounded() -> None:
    collectors = Collectors()
    for number in range(2 * MOST):
        collectors.add({}, {(f"outbound|{number}||otel|telemetry-1ms", "upstream_rq_4xx"): 1})
    assert len(collectors.totals) == MOST


def test_an_answer_that_is_none_tells_nothing() -> None:
    for answer in (b"", b"[]", b"{", b'{"cluster_statuses": [{"host_statuses": [{}]}]}', b'{"cluster_statuses": 1}'):
        assert counted({}, answer) is None


def test_what_the_program_calls_is_kept_apart_from_what_its_sidecar_tells() -> None:
    own = names.backend(BackendRef(TO))
    detected = names.backend(BackendRef(TO, detected=True))
    assert [bool(re.search(CLUSTERS, name)) for name in (CLUSTER, own, detected)] == [True, False, False]
    called = "cluster.{}.upstream_rq_total"
    assert [bool(re.search(idle.FILTER, called.format(name))) for name in (CLUSTER, own, detected)] == [
        False,
        True,
        True,
    ]


def test_envoy_keeps_what_is_read() -> None:
    config = bootstrap("a-1", "127.0.0.1", 1, "spiffe://cluster.local/control-plane")
    kept = config["stats_config"]["stats_matcher"]["inclusion_list"]["patterns"]
    regexes = [each["safe_regex"]["regex"] for each in kept if "safe_regex" in each]
    for name in (f"cluster.{CLUSTER}.{failure}" for failure in FAILURES):
        assert re.search(FILTER, name) and any(re.fullmatch(regex, name) for regex in regexes)
