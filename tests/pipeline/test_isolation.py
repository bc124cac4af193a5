"""A faulty object spoils nothing else: the last good part stays, it is told once, and tried again when the facts change.

The faults are values that validation would refuse.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from declared_mesh import instance, resources
from envoy_like import EnvoyLike
from tulle.model.names import Destination, ServiceName, service_of
from tulle.model.resources.destination_rule import ConnectionPoolSettings, TCPSettings
from tulle.model.resources.resource import Ref, Resource
from tulle.model.resources.service_entry import ServiceEntry
from tulle.model.resources.sidecar import Sidecar
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Capture, Proxy
from tulle.pipeline.hub import Hub, Touched
from tulle.xds.resources import EDS, LDS, VHDS

PAGE, REVIEWS = instance("page"), instance("reviews")
ENTRY = "ServiceEntry {0}\nhosts: [{0}.example.com]\nports: [{{number: 80, name: http, protocol: HTTP}}]\nresolution: STATIC"


@pytest.fixture
def hub() -> Hub:
    made = Hub()
    made.apply(Snapshot(1, {proxy.id: proxy for proxy in (PAGE, REVIEWS)}))
    return made


def declare(hub: Hub, *given: Resource, revision: int = 2) -> Touched:
    return hub.apply(Snapshot(revision, resources={one.ref: one for one in given}))


def entry(name: str = "api", **spec: object) -> Resource:
    (made,) = resources(ENTRY.format(name))
    assert isinstance(made.spec, ServiceEntry)
    return replace(made, spec=replace(made.spec, **spec))


def sidecar(most: int, namespace: str = "default") -> Resource:
    pool = ConnectionPoolSettings(tcp=TCPSettings(max_connections=most))
    return Resource(Ref("Sidecar", namespace, "default"), Sidecar(inbound_connection_pool=pool))


def weighing(proxy: Proxy, weight: int) -> Proxy:
    return replace(proxy, workloads=(replace(proxy.workloads[0], weight=weight),))


def told(touched: Touched) -> list[tuple[str, int]]:
    return [(fault.proxy, fault.revision) for fault in touched.faults]


def test_what_cannot_be_taken_in_keeps_nothing_else_out(hub: Hub) -> None:
    good, bad, other = entry("good"), entry("bad", hosts=(None,)), entry("other")
    touched = declare(hub, good, bad, other)
    assert [(fault.part, fault.proxy, fault.revision) for fault in touched.faults] == [
        ("ServiceEntry default/bad", "", 2)
    ]
    assert {"good.example.com", "other.example.com"} == set(hub.mesh.hosts)
    assert [part for part, _ in hub.problems] == ["ServiceEntry default/bad"]
    assert not hub.apply(Snapshot(3, {PAGE.id: weighing(PAGE, 2)})).faults  # tried again, and told once
    assert hub.problems
    declare(hub, entry("bad"), revision=4)
    assert "bad.example.com" in hub.mesh.hosts
    assert not hub.problems


def test_the_mesh_goes_on_to_know_what_it_knew_of_a_faulty_object(hub: Hub) -> None:
    declare(hub, entry("bad"))
    declare(hub, entry("bad", hosts=(None,)), entry("good"), revision=3)
    assert {"bad.example.com", "good.example.com"} == set(hub.mesh.hosts)


def test_a_door_that_cannot_be_made_stays_as_it_is(hub: Hub) -> None:
    envoy = EnvoyLike(hub, PAGE.id).settle()
    before = dict(envoy.held[LDS])
    touched = declare(hub, sidecar(2**40))
    assert told(touched) == [(PAGE.id, 2)]
    assert "inbound listener" in touched.faults[0].part
    envoy.ask("reviews")
    assert envoy.settle().held[LDS] == before
    assert any("/reviews." in name for name in envoy.held[VHDS])
    assert [part for part, _ in envoy.view.mistakes] == [touched.faults[0].part]
    assert not told(declare(hub, entry(), revision=3))
    declare(hub, sidecar(3), revision=4)
    assert not envoy.view.mistakes


def test_a_first_door_that_cannot_be_made_is_not_taken_for_ready() -> None:
    hub = Hub()
    broken = sidecar(2**40)
    hub.apply(Snapshot(1, {PAGE.id: PAGE}, resources={broken.ref: broken}))
    envoy = EnvoyLike(hub, PAGE.id).settle()
    assert not envoy.view.ready
    assert [name.partition(".")[0] for name in envoy.held[LDS]] == ["outbound"] * len(envoy.held[LDS])
    declare(hub, sidecar(3))
    assert envoy.settle().view.ready


def test_endpoints_that_cannot_be_made_stay_as_they_are(hub: Hub) -> None:
    envoy = EnvoyLike(hub, PAGE.id).settle()
    envoy.ask("reviews")
    before = dict(envoy.settle().held[EDS])
    touched = hub.apply(Snapshot(2, {REVIEWS.id: weighing(REVIEWS, 2**40)}))
    assert told(touched) == [(PAGE.id, 2)]
    assert envoy.settle().held[EDS] == before
    assert not hub.apply(Snapshot(3, {REVIEWS.id: weighing(REVIEWS, 2**40)})).faults
    hub.apply(Snapshot(4, {REVIEWS.id: weighing(REVIEWS, 7)}))
    assert envoy.settle().held[EDS] != before
    assert not envoy.view.mistakes


def test_a_first_answer_that_cannot_be_made_is_made_when_what_it_leads_to_changes() -> None:
    """By a rule, to endpoints of a service that is not the one that was asked for."""
    hub = Hub()
    (rule,) = resources(
        "VirtualService api\nhosts: [api.example.com]\nhttp: [{route: [{destination: {host: reviews}}]}]"
    )
    there = {PAGE.id: PAGE, REVIEWS.id: weighing(REVIEWS, 2**40)}
    hub.apply(Snapshot(1, there, resources={rule.ref: rule}))
    envoy = EnvoyLike(hub, PAGE.id).settle()
    envoy.ask("api.example.com")
    assert envoy.view.mistakes
    assert "mistake" in str(answer(envoy.settle()))
    hub.apply(Snapshot(2, {REVIEWS.id: REVIEWS}))
    assert "mistake" not in str(answer(envoy.settle()))
    assert not envoy.view.mistakes


def answer(envoy: EnvoyLike) -> object:
    return next(body for (kind, name), body in envoy.bodies.items() if kind == VHDS and "api.example.com" in name)


def test_ports_that_cannot_be_told_end_no_look_up(hub: Hub) -> None:
    proxy = replace(PAGE, capture=Capture.SECCOMP)
    hub.apply(Snapshot(2, {proxy.id: proxy}))
    view, api = EnvoyLike(hub, proxy.id).settle().view, entry()
    assert isinstance(api.spec, ServiceEntry)
    ports = tuple(replace(port, protocol=80) for port in api.spec.ports)
    declare(hub, entry(ports=ports), revision=3)
    service = service_of("api.example.com")
    assert told(hub.connects_to(proxy.id, service)) == [(proxy.id, 3)]
    assert not hub.connects_to(proxy.id, service).faults
    tcp = tuple(replace(port, protocol="TCP") for port in api.spec.ports)
    declare(hub, entry(ports=tcp), revision=4)
    assert Destination(service, 80) in {demand.destination for demand in view.reached}
    assert not view.mistakes


def test_a_name_that_cannot_be_looked_up_is_answered_and_looked_up_again(hub: Hub) -> None:
    envoy, api = EnvoyLike(hub, PAGE.id).settle(), entry()
    assert isinstance(api.spec, ServiceEntry)
    declare(hub, entry(ports=tuple(replace(port, protocol=80) for port in api.spec.ports)))
    envoy.ask("api.example.com", "reviews")
    envoy.settle()
    assert {demand.destination.service for demand in envoy.view.reached} == {ServiceName("default", "reviews")}
    declare(hub, api, revision=3)
    assert service_of("api.example.com") in {demand.destination.service for demand in envoy.settle().view.reached}
    assert not envoy.view.mistakes


def test_keys_and_revocations_are_taken_in_beside_what_cannot_be(hub: Hub) -> None:
    revoked = ("CN=web-3fa2c1",)
    bad = entry("bad", hosts=(None,))
    hub.apply(Snapshot(9, resources={bad.ref: bad}, key_sets={"https://issuer/keys": "{}"}, revoked=revoked))
    assert (hub.mesh.key_sets, hub.mesh.revoked) == ({"https://issuer/keys": "{}"}, revoked)


def test_revocations_are_taken_in_where_nothing_beside_them_can_be(hub: Hub) -> None:
    bad = entry("bad", hosts=(None,))
    hub.apply(Snapshot(9, resources={bad.ref: bad}, revoked=("ab" * 32,)))
    assert (hub.mesh.revoked, hub.mesh.revision) == (("ab" * 32,), 9)
