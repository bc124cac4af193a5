"""Since when an instance's health is what it is, also where one sidecar serves several."""

from __future__ import annotations

from tulle.control_plane.timeline import Timeline
from tulle.model.names import ServiceName
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Health, Proxy, Workload


def proxy(id: str, **healths: Health) -> Proxy:
    workloads = (Workload(name, ServiceName("default", name), name, health=health) for name, health in healths.items())
    return Proxy(id, "127.0.0.1", 20001, 30001, tuple(workloads))


class Watch:
    """A timeline that sees one proxy after the other, a second apart."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timeline = Timeline(lambda: self.now)

    def see(self, id: str, proxy: Proxy | None) -> None:
        self.now += 1
        self.timeline.saw_facts(Snapshot(int(self.now), {id: proxy}))


def test_only_a_change_begins_a_new_time() -> None:
    watch = Watch()
    watch.see("p1", proxy("p1", a=Health.STARTING, b=Health.STARTING))
    watch.see("p1", proxy("p1", a=Health.HEALTHY, b=Health.STARTING))
    assert watch.timeline.health_since("p1", "a") == 2
    assert watch.timeline.health_since("p1", "b") == 1


def test_what_is_gone_has_no_time_and_begins_a_new_one_when_it_is_back() -> None:
    watch = Watch()
    watch.see("p1", proxy("p1", a=Health.HEALTHY, b=Health.HEALTHY))
    watch.see("p1", proxy("p1", a=Health.HEALTHY))
    assert watch.timeline.health_since("p1", "b") is None
    watch.see("p1", None)
    assert watch.timeline.health_since("p1", "a") is None
    watch.see("p1", proxy("p1", a=Health.HEALTHY))
    assert watch.timeline.health_since("p1", "a") == 4


def test_two_sidecars_may_call_their_instances_the_same() -> None:
    watch = Watch()
    watch.see("p1", proxy("p1", a=Health.HEALTHY))
    watch.see("p2", proxy("p2", a=Health.HEALTHY))
    watch.see("p2", None)
    assert watch.timeline.health_since("p1", "a") == 1
