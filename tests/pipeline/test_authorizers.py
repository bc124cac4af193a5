"""The service that CUSTOM policies name: a sidecar has the way to it before it asks, and as long as it asks."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from declared_mesh import instance
from envoy_like import EnvoyLike
from golden import declared_in
from tulle.model.resources.resource import Ref, Resource
from tulle.model.snapshot import KnownPort, KnownService, Snapshot
from tulle.model.workload import Protocol
from tulle.pipeline import reaching
from tulle.pipeline.hub import Hub
from tulle.xds.resources import CDS, EDS, LDS

WEB, AUTHZ = instance("web"), instance("authz", port=9000)
CLUSTER = "outbound|9000||authz.default.svc.cluster.local"
LISTENER = "inbound.web-default-v1-0"
PROVIDER = {"name": "authz", "envoyExtAuthzHttp": {"service": "authz.default.svc.cluster.local", "port": 9000}}
_DOCUMENTS: list[dict[str, Any]] = [
    {
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "ask"},
        "spec": {"action": "CUSTOM", "provider": {"name": "authz"}, "rules": [{}]},
    },
    {
        "kind": "MeshConfig",
        "metadata": {"name": "mesh", "namespace": "istio-system"},
        "spec": {"extensionProviders": [PROVIDER]},
    },
]
POLICY, CONFIG = (one for one in declared_in(_DOCUMENTS).values() if one is not None)


def declare(hub: Hub, *declared: Resource, gone: tuple[Resource, ...] = ()) -> None:
    changes: dict[Ref, Resource | None] = {one.ref: one for one in declared}
    hub.apply(Snapshot(9, resources={**changes, **{one.ref: None for one in gone}}))


def asks(envoy: EnvoyLike) -> bool:
    return "envoy.filters.http.ext_authz" in str(envoy.bodies[LDS, LISTENER])


def denies(envoy: EnvoyLike) -> bool:
    """Whatever the rules fit, and not only what nobody was asked about."""
    routes = [
        body
        for (_, name), body in envoy.bodies.items()
        if name == f"inbound|80|{WEB.id}" and "virtual_hosts" in str(body)
    ]
    return "AuthorizationPolicy default/ask spec.rules[0]" in str(routes[-1]) and ", not asked" not in str(routes[-1])


def test_the_way_to_the_service_comes_before_the_door_that_needs_it_and_goes_after() -> None:
    hub = Hub()
    hub.apply(Snapshot(1, {one.id: one for one in (WEB, AUTHZ)}))
    envoy = EnvoyLike(hub, WEB.id).settle()
    declare(hub, POLICY, CONFIG)
    del envoy.sent[:]
    envoy.settle()
    assert asks(envoy) and CLUSTER in envoy.held[CDS] and CLUSTER in envoy.held[EDS]
    order = [one for one in envoy.sent if one in ((CDS, CLUSTER), (EDS, CLUSTER), (LDS, LISTENER))]
    assert order == [(CDS, CLUSTER), (EDS, CLUSTER), (LDS, LISTENER)]
    assert envoy.view.ready and hub.holders(AUTHZ.workloads[0].service) == (envoy.view,)

    another = instance("authz", number=1, port=9000)
    hub.apply(Snapshot(10, {another.id: another}))
    envoy.settle()
    assert len(envoy.bodies[EDS, CLUSTER]["endpoints"][0]["lb_endpoints"]) == 2

    declare(hub, gone=(POLICY,))
    envoy.settle()
    assert not asks(envoy) and CLUSTER not in envoy.held[CDS]
    assert hub.holders(AUTHZ.workloads[0].service) == ()


def test_a_service_that_is_called_as_well_stays_when_nobody_asks_it_any_more() -> None:
    hub = Hub()
    hub.apply(Snapshot(1, {one.id: one for one in (WEB, AUTHZ)}))
    envoy = EnvoyLike(hub, WEB.id).settle()
    declare(hub, POLICY, CONFIG)
    envoy.settle()
    envoy.ask("authz:9000")
    envoy.settle()
    declare(hub, gone=(POLICY,))
    envoy.settle()
    assert not asks(envoy) and CLUSTER in envoy.held[CDS]


def test_a_service_that_is_asked_is_kept_however_seldom_that_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaching, "KEPT_SERVICES", 0)
    other = instance("other")
    hub = Hub()
    hub.apply(Snapshot(1, {one.id: one for one in (WEB, AUTHZ, other)}))
    envoy = EnvoyLike(hub, WEB.id).settle()
    declare(hub, POLICY, CONFIG)
    envoy.settle()
    envoy.ask("other")
    envoy.settle()
    idle = "outbound|80||other.default.svc.cluster.local"
    assert idle in envoy.held[CDS]
    hub.idles(WEB.id, [CLUSTER, idle])
    hub.evict(1000.0)
    envoy.settle()
    assert CLUSTER in envoy.held[CDS] and idle not in envoy.held[CDS]
    assert not envoy.view.mistakes


def test_a_mistake_with_the_service_is_over_when_it_is_mended() -> None:
    hub = Hub()
    hub.apply(Snapshot(1, {one.id: one for one in (WEB, AUTHZ)}))
    envoy = EnvoyLike(hub, WEB.id).settle()
    declare(hub, POLICY, CONFIG)
    envoy.settle()
    before = envoy.held[EDS][CLUSTER]

    def weigh(weight: int) -> None:
        hub.apply(Snapshot(10, {AUTHZ.id: replace(AUTHZ, workloads=(replace(AUTHZ.workloads[0], weight=weight),))}))
        envoy.settle()

    weigh(2**40)
    assert envoy.view.mistakes and envoy.held[EDS][CLUSTER] == before
    weigh(7)
    assert not envoy.view.mistakes and envoy.held[EDS][CLUSTER] != before
    weigh(2**40)
    declare(hub, gone=(POLICY,))
    assert not envoy.view.mistakes


def test_until_the_service_is_there_all_that_the_rules_fit_is_denied() -> None:
    hub = Hub()
    hub.apply(Snapshot(1, {WEB.id: WEB}))
    envoy = EnvoyLike(hub, WEB.id).settle()
    declare(hub, POLICY, CONFIG)
    envoy.settle()
    assert not asks(envoy) and denies(envoy)
    hub.apply(Snapshot(10, {AUTHZ.id: AUTHZ}))
    envoy.settle()
    assert asks(envoy) and not denies(envoy)
    name = AUTHZ.workloads[0].service
    known = KnownService(name, (KnownPort(9000, Protocol.HTTP),), ())
    hub.apply(Snapshot(11, {AUTHZ.id: None}, {name: known}))  # none of its instances is alive: it can't be reached
    envoy.settle()
    assert asks(envoy) and not envoy.bodies[EDS, CLUSTER].get("endpoints")
    hub.apply(Snapshot(12, services={name: None}))  # and it is forgotten
    envoy.settle()
    assert not asks(envoy) and denies(envoy) and CLUSTER not in envoy.held[CDS]
