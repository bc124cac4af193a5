"""Since when a sidecar's clusters have had no call, as Envoy's counters tell."""

from __future__ import annotations

from tulle.agent.idle import IDLE_SECONDS, LOOK_SECONDS, MOST, Idleness

B, C = (f"outbound|80||service-{x}.default.svc.cluster.local" for x in "bc")


def stats(cluster: str, begun: int = 0, under_way: int = 0) -> dict[str, int]:
    counts = {"outlier_detection.ejections_active": 0}
    if begun:  # an unused cluster has no counters of calls
        counts |= {"upstream_rq_total": begun, "upstream_rq_active": under_way}
    return {f"cluster.{cluster}.{name}": value for name, value in counts.items()}


def test_a_cluster_is_idle_an_hour_after_the_last_look_that_saw_a_call() -> None:
    idleness = Idleness()
    assert idleness.look(1, {**stats(B, 5), **stats(C)}, 0) == []
    assert idleness.look(1, {**stats(B, 6), **stats(C)}, LOOK_SECONDS) == []
    assert idleness.look(1, {**stats(B, 6), **stats(C)}, IDLE_SECONDS) == [C]
    assert idleness.look(1, {**stats(B, 6), **stats(C, 1)}, IDLE_SECONDS + LOOK_SECONDS) == [B]


def test_a_call_that_is_under_way_is_one() -> None:
    idleness = Idleness()
    for now in (0, IDLE_SECONDS, 2 * IDLE_SECONDS):
        assert idleness.look(1, stats(B, 1, under_way=1), now) == []


def test_a_new_envoy_begins_anew() -> None:
    idleness = Idleness()
    idleness.look(1, stats(B), 0)
    assert idleness.look(2, stats(B), IDLE_SECONDS) == []
    assert idleness.look(2, stats(B), 2 * IDLE_SECONDS) == [B]


def test_what_is_told_at_once_is_bounded() -> None:
    idleness = Idleness()
    many = {k: v for n in range(2 * MOST) for k, v in stats(f"outbound|80||{n:03}").items()}
    idleness.look(1, many, 0)
    assert len(idleness.look(1, many, IDLE_SECONDS)) == MOST
