"""Who is told of what: the control plane without I/O."""

from __future__ import annotations

from msgspec import structs

from envoy_like import EnvoyLike
from golden import known_services
from tulle.model.names import Destination, ServiceName
from tulle.model.resources.resource import Ref, Resource
from tulle.model.resources.service_entry import Resolution, ServiceEntry
from tulle.model.resources.service_entry import ServicePort as EntryPort
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Capture, Health, Proxy, ServicePort, Workload
from tulle.pipeline import asking, demands
from tulle.pipeline.hub import Hub, Learned
from tulle.xds.requests import Request
from tulle.xds.resources import CDS, EDS, LDS, RDS, SDS, VHDS

A, B, C = (ServiceName("default", name) for name in ("service-a", "service-b", "service-c"))
TO_B = "outbound|80||service-b.default.svc.cluster.local"


def instance(proxy_id: str, service: ServiceName, port: int | None = 80, health: Health = Health.HEALTHY) -> Proxy:
    ports = () if port is None else (ServicePort(port, 8080),)
    number = sum(map(ord, proxy_id))
    return Proxy(
        proxy_id,
        "127.0.0.1",
        20000 + number,
        30000 + number,
        (Workload(proxy_id, service, service.name, ports=ports, health=health),),
    )


def hub_of(*proxies: Proxy, callees: dict[ServiceName, tuple[Destination, ...]] | None = None) -> Hub:
    hub = Hub()
    hub.apply(Snapshot(1, {p.id: p for p in proxies}, known_services(list(proxies)), callees or {}))
    return hub


def host(name: str, caller: str = "a1") -> str:
    return f"outbound.{caller}/{name}.default.svc.cluster.local:80"


def test_a_first_call_brings_cluster_endpoints_and_virtual_host_in_that_order() -> None:
    envoy = EnvoyLike(hub_of(instance("a1", A, None), instance("b1", B)), "a1").settle()
    assert not [name for kind, name in envoy.sent if "service-b" in name]
    envoy.sent.clear()
    envoy.ask("service-b")
    envoy.settle()
    assert envoy.sent == [(CDS, TO_B), (EDS, TO_B), (VHDS, host("service-b"))]
    assert envoy.view.ready
    assert envoy.learned == [Learned(A, Destination(B, 80))]


def test_a_host_outside_is_called_only_when_dns_has_answered() -> None:
    entry = ServiceEntry(("api.example.com",), ports=(EntryPort(80, "HTTP", "http"),), resolution=Resolution.DNS)
    hub, ref = hub_of(instance("a1", A, None)), Ref("ServiceEntry", "default", "api")
    hub.apply(Snapshot(2, resources={ref: Resource(ref, entry)}))
    envoy, cluster = EnvoyLike(hub, "a1").settle(), "outbound|80||api.example.com"
    envoy.sent.clear()
    envoy.ask("api.example.com")
    envoy.settle()
    assert envoy.sent == [(CDS, cluster)]
    assert not envoy.view.ready
    envoy.find(cluster)
    envoy.settle()
    assert envoy.sent[1:] == [(SDS, f"found|{cluster}"), (VHDS, "outbound.a1/api.example.com:80")]
    assert envoy.view.ready


def test_what_the_service_called_before_is_there_before_anybody_asks() -> None:
    hub = hub_of(instance("a1", A, None), instance("b1", B), callees={A: (Destination(B, 80), Destination(C, 80))})
    envoy = EnvoyLike(hub, "a1").settle()
    assert set(envoy.held[VHDS]) == {"outbound.a1/_init", host("service-b")}
    assert envoy.view.ready
    assert not envoy.learned


def test_a_program_whose_calls_are_not_captured_does_not_wait_for_what_the_service_called_before() -> None:
    uncaptured = structs.replace(instance("a1", A, None), capture=Capture.NONE)
    hub = hub_of(uncaptured, instance("b1", B), callees={A: (Destination(B, 80),)})
    envoy = EnvoyLike(hub, "a1").settle()
    assert envoy.view.ready
    assert not [name for _, name in envoy.sent if "service-b" in name]


def test_a_change_reaches_only_those_who_asked_for_it_and_is_encoded_once() -> None:
    hub = hub_of(instance("a1", A, None), instance("a2", A, None), instance("c1", C), instance("b1", B))
    callers = [EnvoyLike(hub, proxy).settle() for proxy in ("a1", "a2", "c1")]
    for caller in callers[:2]:
        caller.ask("service-b")
        caller.settle()
    touched = hub.apply(Snapshot(2, {"b2": instance("b2", B)}))
    assert {view.proxy_id for view in touched.views} == {"a1", "a2"}
    wanted = [next(r for r in view.session.wanted if r.key == (EDS, TO_B)) for view in touched.views]
    assert wanted[0] is wanted[1]
    for caller in callers:
        caller.sent.clear()
        caller.settle()
    assert [caller.sent for caller in callers] == [[(EDS, TO_B)], [(EDS, TO_B)], []]


def test_a_proxy_that_is_not_registered_yet_gets_nothing_and_then_everything() -> None:
    hub = hub_of(instance("b1", B))
    envoy = EnvoyLike(hub, "a1").settle()
    assert not envoy.held.get(LDS)
    assert not envoy.view.ready
    touched = hub.apply(Snapshot(2, {"a1": instance("a1", A, None)}))
    assert [view.proxy_id for view in touched.views] == ["a1"]
    assert "outbound.a1" in envoy.settle().held[LDS]
    assert envoy.view.ready


def test_a_proxy_whose_registration_is_gone_keeps_what_it_has() -> None:
    hub = hub_of(instance("a1", A, None), instance("b1", B))
    envoy = EnvoyLike(hub, "a1").settle()
    before = {kind: dict(held) for kind, held in envoy.held.items()}
    hub.apply(Snapshot(2, {"a1": None}))
    assert envoy.settle().held == before


def test_a_name_that_becomes_a_service_is_pushed_to_those_who_asked_in_vain() -> None:
    hub = hub_of(instance("a1", A, None))
    envoy = EnvoyLike(hub, "a1").settle()
    envoy.ask("service-b")
    envoy.settle()
    assert "direct_response" in str(envoy.bodies[VHDS, host("service-b")])
    touched = hub.apply(Snapshot(2, {"b1": instance("b1", B)}, known_services([instance("b1", B)])))
    envoy.settle()
    assert TO_B in str(envoy.bodies[VHDS, host("service-b")])
    assert Learned(A, Destination(B, 80)) in touched.learned


def test_a_forgotten_service_is_taken_away_after_its_virtual_host() -> None:
    hub = hub_of(instance("a1", A, None), instance("b1", B))
    envoy = EnvoyLike(hub, "a1").settle()
    envoy.ask("service-b")
    envoy.settle()
    envoy.sent.clear()
    hub.apply(Snapshot(2, {"b1": None}, {B: None}))
    envoy.settle()
    assert envoy.sent[0] == (VHDS, host("service-b"))
    assert set(envoy.sent[1:]) >= {(CDS, f"-{TO_B}")}


def test_a_rejected_first_answer_is_followed_by_one_that_says_why() -> None:
    for refused in (host("service-b"), TO_B):
        hub = hub_of(instance("a1", A, None), instance("b1", B))
        envoy = EnvoyLike(hub, "a1", refuses=frozenset([refused])).settle()
        envoy.ask("service-b")
        envoy.refuse_only_once()
        envoy.settle()
        assert "no, thank you" in str(envoy.bodies[VHDS, host("service-b")])
        assert [r.message for r in envoy.view.rejections] == ["no, thank you"]


def test_a_reconnected_proxy_that_holds_everything_is_sent_nothing() -> None:
    proxies = (instance("a1", A, None), instance("b1", B))
    before = EnvoyLike(hub_of(*proxies), "a1").settle()
    before.ask("service-b")
    before.settle()
    again = EnvoyLike(hub_of(*proxies), "a1", held=before.held)
    for kind, names in ((EDS, [TO_B]), (RDS, ["outbound.a1"]), (VHDS, ["*", "outbound.a1/service-b"])):
        again._start(kind, *names)
    again.settle()
    assert again.sent in ([], [(VHDS, host("service-b"))])
    touched = hub_changes(again)
    assert touched == [(EDS, TO_B)]


def hub_changes(envoy: EnvoyLike) -> list[tuple[str, str]]:
    envoy.hub.apply(Snapshot(9, {"b2": instance("b2", B)}))
    envoy.sent.clear()
    return envoy.settle().sent


def test_a_sidecar_that_asks_for_more_than_any_program_calls_is_told_no_route() -> None:
    hub = hub_of(instance("a1", A, None), instance("b1", B))
    envoy = EnvoyLike(hub, "a1").settle()
    for n in range(demands.MOST_STRANGERS + 5):
        envoy.now += 1
        envoy.ask(f"s{n}")
    envoy.settle()
    assert len([body for (kind, _), body in envoy.bodies.items() if kind == VHDS and body is None]) == 5
    assert envoy.view.ready
    envoy.ask("service-b")
    envoy.settle()
    assert TO_B in str(envoy.bodies[VHDS, host("service-b")]), "strangers crowd out no service"


def test_what_one_stream_asks_for_is_bounded_whatever_it_is() -> None:
    hub = hub_of(instance("a1", A, None), instance("b1", B))
    envoy = EnvoyLike(hub, "a1").settle()
    spellings = [
        "".join(c.upper() if bits >> n & 1 else c for n, c in enumerate("service-b")) for bits in range(0, 512, 8)
    ]
    envoy.ask(*dict.fromkeys(spellings))
    envoy.ask(*(f"-x{n}" for n in range(asking.MOST_NAMES * 2)))
    envoy.settle()
    assert len([name for kind, name in envoy.sent if kind == VHDS]) <= asking.MOST_NAMES + 2
    hub.receive(envoy.view, Request("type.googleapis.com/no.such.Type", subscribe=("x",)))
    assert {r.type_url for r in envoy.view.session.wanted} <= {CDS, EDS, LDS, RDS, VHDS}


def test_only_the_newest_streams_of_a_proxy_are_kept() -> None:
    hub = hub_of(instance("a1", A, None))
    views = [hub.connect("a1") for _ in range(5)]
    assert [view.superseded for view in views] == [True, True, False, False, False]


def test_an_unknown_name_is_answered_with_the_nearest_service_that_the_caller_may_see() -> None:
    hub = hub_of(
        *(instance("a1", A, None), instance("b1", B)),
        *(instance(f"{n}-1", ServiceName("shop", n)) for n in ("payments", "catalogue")),
    )
    envoy = EnvoyLike(hub, "a1").settle()
    answers = {
        "servce-b": "the mesh has no service servce-b.default; did you mean service-b?",
        "catalogue": "the mesh has no service catalogue.default; did you mean catalogue.shop?",
        "paymnets": "the mesh has no service paymnets.default; did you mean payments.shop?",
        "elephant": 'the mesh has no service elephant.default"',
    }
    for name, answer in answers.items():
        envoy.ask(name)
        envoy.settle()
        assert answer in str(envoy.bodies[VHDS, host(name)]).replace("'", '"').replace("\\", ""), name


def test_a_malformed_name_is_answered_with_nothing() -> None:
    envoy = EnvoyLike(hub_of(instance("a1", A, None)), "a1").settle()
    envoy.ask("a..b", "x" * 5000)
    envoy.settle()
    assert envoy.bodies[VHDS, "outbound.a1/a..b"] is None
    assert envoy.view.ready


def test_streams_that_end_leave_nothing_behind() -> None:
    hub = hub_of(instance("a1", A, None), instance("b1", B))
    first, second = EnvoyLike(hub, "a1").settle(), EnvoyLike(hub, "a1").settle()
    for envoy in (first, second):
        envoy.ask("service-b")
        envoy.settle()
        assert envoy.view in hub.holders(B)
        hub.disconnect(envoy.view)
    assert not hub.holders(B)
    assert not hub.views


def test_our_own_mistake_with_one_proxy_leaves_the_others_served() -> None:
    hub = hub_of(instance("a1", A, None), instance("a2", A, None), instance("b1", B))
    callers = [EnvoyLike(hub, proxy).settle() for proxy in ("a1", "a2")]
    for caller in callers:
        caller.ask("service-b")
        caller.settle().sent.clear()
    callers[0].view._reaching._session = None  # type: ignore[assignment]  # the fault
    touched = hub.apply(Snapshot(7, {"b2": instance("b2", B)}))
    assert [(fault.proxy, fault.revision) for fault in touched.faults] == [("a1", 7)]
    assert callers[1].settle().sent == [(EDS, TO_B)]


def test_a_rejected_first_load_assignment_is_tried_again_when_it_changes() -> None:
    hub = hub_of(instance("a1", A, None), instance("b1", B))
    envoy = EnvoyLike(hub, "a1", refuses=frozenset([TO_B])).settle()
    envoy.refuses_kind = EDS
    envoy.ask("service-b")
    envoy.refuse_only_once()
    envoy.settle()
    assert "no, thank you" in str(envoy.bodies[VHDS, host("service-b")])
    hub.apply(Snapshot(5, {"b2": instance("b2", B)}))
    envoy.settle()
    assert TO_B in str(envoy.bodies[VHDS, host("service-b")])
    assert not envoy.view.rejections


def test_what_nobody_asks_for_any_more_is_not_kept() -> None:
    hub = hub_of(instance("a1", A, None), instance("b1", B))
    envoy = EnvoyLike(hub, "a1").settle()
    envoy.ask("service-b")
    envoy.settle()
    assert hub._encoder._memos
    hub.disconnect(envoy.view)
    assert not hub._encoder._memos


def test_a_new_namespace_changes_the_routes_of_all_and_nothing_else() -> None:
    hub = hub_of(instance("a1", A, None), instance("c1", C))
    envoys = [EnvoyLike(hub, proxy).settle() for proxy in ("a1", "c1")]
    new = instance("n1", ServiceName("new", "n"))
    for envoy in envoys:
        envoy.sent.clear()
    hub.apply(Snapshot(5, {"n1": new}, known_services([new])))
    assert [envoy.settle().sent for envoy in envoys] == [[(RDS, "outbound.a1")], [(RDS, "outbound.c1")]]


def test_a_proxy_that_reconnects_while_it_is_not_registered_loses_nothing() -> None:
    before = EnvoyLike(hub_of(instance("a1", A, None), instance("b1", B)), "a1").settle()
    before.ask("service-b")
    before.settle()
    hub = hub_of(instance("b1", B))
    again = EnvoyLike(hub, "a1", held=before.held)
    for kind, names in ((EDS, [TO_B]), (RDS, ["outbound.a1"]), (VHDS, ["*", "outbound.a1/service-b"])):
        again._start(kind, *names)
    assert again.settle().sent == []
    hub.apply(Snapshot(2, {"a1": instance("a1", A, None)}))
    assert not [name for _, name in again.settle().sent if name.startswith("-")]


def test_a_new_envoy_of_a_proxy_is_ready_when_it_holds_what_the_old_one_holds() -> None:
    hub = hub_of(instance("a1", A, None), instance("b1", B))
    old = EnvoyLike(hub, "a1").settle()
    for name in ("service-b", "stranger"):
        old.ask(name)
    old.settle()
    new = EnvoyLike(hub, "a1")
    assert not new.view.ready
    new.settle()
    assert new.view.ready
    assert set(new.held[VHDS]) == {"outbound.a1/_init", host("service-b")}
    assert TO_B in new.held[CDS]
    assert TO_B in new.held[EDS]
    assert not new.learned
    hub.disconnect(old.view)
    assert new.view in hub.holders(B)


def test_what_a_proxy_says_before_it_is_registered_is_bounded() -> None:
    """Names that it asks for and drops again leave nothing behind; the others are answered when it is registered."""
    hub = hub_of(instance("b1", B))
    view = hub.connect("a1")
    for n in range(100):
        names = tuple(f"outbound.a1/x{n}-{m}" for m in range(100))
        hub.receive(view, Request(VHDS, subscribe=names))
        hub.receive(view, Request(VHDS, unsubscribe=names))
    hub.receive(view, Request(VHDS, subscribe=("outbound.a1/service-b",)))
    hub.apply(Snapshot(2, {"a1": instance("a1", A, None)}))
    assert (view.destinations, view.strangers) == (1, 0)
    assert [demand.destination.service for demand in view.reached] == [B]
