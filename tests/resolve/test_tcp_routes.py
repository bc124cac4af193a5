"""Where connections to a port of a service go, as one caller has it: `tcp` and `tls` routes of a VirtualService."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
import pytest

from golden import declared_in, known_services
from tulle.ir.routes import BackendRef, Weighted
from tulle.ir.types import TcpChain, TcpService
from tulle.model.names import Destination, ServiceName, service_of
from tulle.model.resources.resource import Ref, Resource
from tulle.model.resources.virtual_service import VirtualService
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Capture, Health, Protocol, Proxy, ServicePort, Workload
from tulle.resolve import outbound
from tulle.resolve.callers import Caller
from tulle.resolve.index import apply
from tulle.resolve.mesh import Mesh
from tulle.resolve.tcp_routes import chain_of, tcp_route, tls_chains

CALLER = Caller("shop", (("app", "cart"), ("version", "v2")))
VIP = "127.64.0.9"
STORE, CACHE = ServiceName("default", "store"), ServiceName("default", "cache")


class Town:
    """Two services: `store` at three ports with the subset v1, and `cache` at one."""

    PORTS: ClassVar = {STORE: (5432, 6379, 8443), CACHE: (6380,)}

    def destination(self, host: str, namespace: str, port: int | None, listener_port: int) -> Destination | None:
        service = service_of(host) if "." in host else ServiceName(namespace, host)
        ports = self.PORTS.get(service, ())
        number = port or (ports[0] if len(ports) == 1 else listener_port)
        return Destination(service, number) if number in ports else None

    def has_subset(self, destination: Destination, subset: str) -> bool:
        return destination.service == STORE and subset == "v1"


def _rule(**spec: Any) -> Resource:
    return Resource(
        Ref("VirtualService", "default", "store"), msgspec.convert({"hosts": ["store"], **spec}, VirtualService)
    )


def _to(host: str = "store", subset: str = "", weight: int = 0, port: int = 0) -> dict[str, Any]:
    destination = {"host": host, "subset": subset, **({"port": {"number": port}} if port else {})}
    return {"destination": destination, "weight": weight}


def _tcp(
    *routes: dict[str, Any],
    port: int = 5432,
    caller: Caller = CALLER,
    addresses: tuple[str, ...] = (VIP,),
    **spec: Any,
) -> tuple[Weighted, ...] | None:
    return tcp_route(_rule(tcp=list(routes), **spec), caller, port, addresses, Town())


def _tls(*routes: dict[str, Any], port: int = 8443, **spec: Any) -> tuple[TcpChain, ...]:
    return tls_chains(_rule(tls=list(routes), **spec), CALLER, port, (VIP,), Town())


def _at(service: ServiceName, port: int, subset: str = "", weight: int = 1) -> Weighted:
    return Weighted(BackendRef(Destination(service, port), subset), weight)


def _hosts(chain: TcpChain | None) -> list[str]:
    """To whom a chain leads."""
    assert chain is not None
    return [weighted.backend.destination.service.name for weighted in chain.backends if weighted.backend]


V1 = {"route": [_to(subset="v1")]}
TO_V1 = (_at(STORE, 5432, "v1"),)


def test_without_a_rule_there_is_no_route() -> None:
    assert tcp_route(None, CALLER, 5432, (VIP,), Town()) is None
    assert tls_chains(None, CALLER, 8443, (VIP,), Town()) == ()
    assert _tcp() is None
    assert _tls() == ()


def test_a_route_without_matches_is_for_every_connection() -> None:
    assert _tcp(V1) == TO_V1
    assert _tcp({"match": [], **V1}, port=6379) == (_at(STORE, 6379, "v1"),)


def test_a_destination_without_a_port_is_at_its_only_one_or_at_the_one_that_was_called() -> None:
    assert _tcp({"route": [_to("cache")]}) == (_at(CACHE, 6380),)
    assert _tcp({"route": [_to()]}, port=6379) == (_at(STORE, 6379),)
    assert _tcp({"route": [_to(port=8443)]}) == (_at(STORE, 8443),)


def test_the_first_route_that_fits_counts() -> None:
    cache = {"route": [_to("cache")]}
    assert _tcp({"match": [{"port": 6379}], **cache}, V1, cache) == TO_V1
    assert _tcp({"match": [{"port": 6379}], **cache}, {"match": [{"port": 1}], **V1}) is None


def test_one_match_of_several_is_enough_and_all_that_it_says_must_fit() -> None:
    assert _tcp({"match": [{"port": 1}, {"port": 5432}], **V1}) == TO_V1
    both = {"port": 5432, "sourceLabels": {"app": "cart"}}
    assert _tcp({"match": [both], **V1}) == TO_V1
    assert _tcp({"match": [both], **V1}, port=6379) is None
    assert _tcp({"match": [both], **V1}, caller=Caller("shop", (("app", "other"),))) is None


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({"sourceLabels": {"app": "cart"}}, True),
        ({"sourceLabels": {"app": "cart", "version": "v2"}}, True),
        ({"sourceLabels": {"app": "cart", "version": "v1"}}, False),
        ({"sourceLabels": {"team": "red"}}, False),
        ({"sourceNamespace": "shop"}, True),
        ({"sourceNamespace": "default"}, False),
        ({"gateways": ["mesh"]}, True),
        ({"gateways": ["edge", "mesh"]}, True),
        ({"gateways": ["edge"]}, False),
        ({"destinationSubnets": ["127.64.0.9"]}, True),
        ({"destinationSubnets": ["10.0.0.0/8", "127.64.0.0/10"]}, True),
        ({"destinationSubnets": ["127.64.0.8", "fd00::/8"]}, False),
    ],
)
def test_what_is_known_of_a_connection_before_it_is_made(match: dict[str, Any], fits: bool) -> None:
    assert _tcp({"match": [match], **V1}) == (TO_V1 if fits else None)
    tls = _tls({"match": [{"sniHosts": ["store"], **match}], **V1})
    assert [chain.sni for chain in tls] == ([("store",)] if fits else [])


def test_a_match_without_gateways_has_those_of_the_whole_rule() -> None:
    assert _tcp({"match": [{"port": 5432}], **V1}, gateways=["edge"]) is None
    assert _tcp({"match": [{"port": 5432}], **V1}, gateways=["edge", "mesh"]) == TO_V1
    assert _tcp({"match": [{"gateways": ["mesh"]}], **V1}, gateways=["edge"]) == TO_V1


def test_a_subnet_covers_networks_that_lie_within_it() -> None:
    routed = {"match": [{"destinationSubnets": ["192.0.2.0/24"]}], **V1}
    assert _tcp(routed, addresses=(VIP, "192.0.2.64/26")) == TO_V1
    assert _tcp(routed, addresses=(VIP, "192.0.0.0/16")) is None
    assert _tcp(routed, addresses=()) is None


def test_connections_are_divided_by_weight() -> None:
    assert _tcp({"route": [_to(subset="v1", weight=80), _to("cache", weight=20)]}) == (
        _at(STORE, 5432, "v1", 80),
        _at(CACHE, 6380, "", 20),
    )


def test_a_weight_of_nothing_is_a_share_only_where_there_is_no_other() -> None:
    assert _tcp({"route": [_to(subset="v1", weight=100), _to("cache")]}) == (_at(STORE, 5432, "v1", 100),)
    assert _tcp({"route": [_to(subset="v1")]}) == TO_V1


def test_what_is_not_there_keeps_its_share() -> None:
    assert _tcp({"route": [_to(weight=60), _to(subset="v9", weight=30), _to("nobody", weight=10)]}) == (
        _at(STORE, 5432, "", 60),
        Weighted(None, 30, missing="v9 store"),
        Weighted(None, 10, missing="nobody"),
    )
    assert _tcp({"route": [_to("cache", port=9)]}) == (Weighted(None, 1, missing="cache"),)


def test_a_short_name_belongs_to_the_rules_namespace() -> None:
    assert _tcp({"route": [_to("store.default.svc.cluster.local")]}) == (_at(STORE, 5432),)
    assert _tcp({"route": [_to("store.shop.svc.cluster.local")]}) == (
        Weighted(None, 1, missing="store.shop.svc.cluster.local"),
    )


def test_each_name_leads_where_the_first_route_for_it_says() -> None:
    chains = _tls(
        {"match": [{"sniHosts": ["pay", "*.shop.example"]}], **V1},
        {"match": [{"sniHosts": ["pay", "other"]}, {"sniHosts": ["OTHER", "third"]}], "route": [_to("cache")]},
        {"match": [{"sniHosts": ["third", "*.shop.example"]}], **V1},
    )
    assert [chain.sni for chain in chains] == [("pay", "*.shop.example"), ("other",), ("third",)]
    assert [_hosts(chain) for chain in chains] == [["store"], ["cache"], ["cache"]]


def test_a_route_that_does_not_fit_leaves_its_names_to_later_ones() -> None:
    for other in ({"port": 1}, {"sourceNamespace": "default"}, {"sourceLabels": {"app": "other"}}):
        chains = _tls(
            {"match": [{"sniHosts": ["pay"], **other}], "route": [_to("cache")]},
            {"match": [{"sniHosts": ["pay"], "port": 8443}], **V1},
        )
        assert [(chain.sni, _hosts(chain)) for chain in chains] == [(("pay",), ["store"])]


def test_the_most_specific_name_counts_whatever_its_place() -> None:
    chains = (
        TcpChain((_at(CACHE, 6380),)),
        *_tls(
            {"match": [{"sniHosts": ["*.example"]}], "route": [_to("cache")]},
            {"match": [{"sniHosts": ["*.shop.example"]}], **V1},
            {"match": [{"sniHosts": ["pay.shop.example"]}], "route": [_to("nobody")]},
        ),
    )
    assert chain_of(chains, "pay.shop.example") is chains[3]
    assert chain_of(chains, "a.shop.example") is chains[2]
    assert chain_of(chains, "deep.down.shop.example") is chains[2]
    assert chain_of(chains, "shop.example") is chains[1], "a wildcard is for what is beneath it"
    assert chain_of(chains, "elsewhere") is chains[0]
    assert chain_of(chains[1:], "elsewhere") is None


def _workload(name: str, protocol: Protocol, *ports: int, labels: tuple[tuple[str, str], ...] = ()) -> Workload:
    served = tuple(ServicePort(port, port, protocol) for port in ports)
    return Workload(f"{name}1", ServiceName("default", name), name, ports=served, labels=labels, health=Health.HEALTHY)


def _mesh(protocol: Protocol, *declared: dict[str, Any]) -> Mesh:
    workloads = (
        _workload("a", Protocol.HTTP, labels=(("team", "red"),)),
        _workload("store", protocol, 9000),
        _workload("cache", Protocol.TCP, 9000),
    )
    proxies = {w.id: Proxy(w.id, "127.0.0.1", 1, 2, (w,), Capture.REDIRECT) for w in workloads}
    snapshot = Snapshot(1, proxies, known_services(list(proxies.values())), resources=declared_in(declared))
    return apply(Mesh(), snapshot)[0]


def _seen(protocol: Protocol, *declared: dict[str, Any]) -> TcpService:
    """Where a's captured connections to port 9000 of `store` go."""
    mesh = _mesh(protocol, *declared)
    proxy = mesh.proxies["a1"]
    found = outbound.tcp_service(mesh, proxy, proxy.workloads[0], Destination(STORE, 9000))
    assert found is not None
    return found


def _declared(name: str, **spec: Any) -> dict[str, Any]:
    return {"kind": "VirtualService", "metadata": {"name": name}, "spec": {"hosts": ["store"], **spec}}


TO_CACHE, TO_STORE = {"route": [_to("cache")]}, {"route": [_to("store")]}
BY_NAME = {"match": [{"sniHosts": ["store"]}], **TO_CACHE}


def test_of_two_rules_for_a_host_the_older_one_counts_alone() -> None:
    older, newer = _declared("older", tcp=[TO_CACHE]), _declared("newer", tcp=[TO_STORE], tls=[BY_NAME])
    assert [_hosts(chain) for chain in _seen(Protocol.AUTO, older, newer).chains] == [["cache"]]
    assert [_hosts(chain) for chain in _seen(Protocol.AUTO, newer, older).chains] == [["cache"], ["store"]]


def test_tls_routes_are_for_ports_that_may_carry_tls() -> None:
    rule = _declared("store", tls=[BY_NAME])
    for protocol, names in ((Protocol.TLS, [("store",), ()]), (Protocol.AUTO, [("store",), ()]), (Protocol.TCP, [()])):
        assert [chain.sni for chain in _seen(protocol, rule).chains] == names, protocol


def test_what_no_route_fits_goes_to_the_service_itself() -> None:
    rule = _declared("store", tcp=[{"match": [{"port": 1}], **TO_CACHE}], tls=[BY_NAME])
    chains = _seen(Protocol.TLS, rule).chains
    assert _hosts(chain_of(chains, "store")) == ["cache"]
    assert _hosts(chain_of(chains, "any.other")) == ["store"]
    assert [_hosts(chain) for chain in _seen(Protocol.TCP).chains] == [["store"]]


def test_only_a_port_of_which_nobody_said_what_it_carries_is_looked_into() -> None:
    assert _seen(Protocol.TCP).detect == 0
    assert _seen(Protocol.TLS).detect == 0
    assert _seen(Protocol.AUTO).detect == 200_000_000
    config = {"kind": "MeshConfig", "metadata": {"name": "mesh", "namespace": ""}}
    assert _seen(Protocol.AUTO, {**config, "spec": {"protocolDetectionTimeout": "2s"}}).detect == 2 * 10**9


def test_a_port_has_a_listener_if_it_may_be_no_http_or_its_number_says_so() -> None:
    listened = {80: Protocol.HTTP, 25: Protocol.HTTP, 3306: Protocol.GRPC, 5432: Protocol.TCP, 9000: Protocol.AUTO}
    served = tuple(ServicePort(number, number, protocol) for number, protocol in listened.items())
    caller = _workload("a", Protocol.HTTP)
    store = Workload("store1", STORE, "store", ports=served, health=Health.HEALTHY)
    proxies = {w.id: Proxy(w.id, "127.0.0.1", 1, 2, (w,), Capture.REDIRECT) for w in (caller, store)}
    mesh = apply(Mesh(), Snapshot(1, proxies, known_services(list(proxies.values()))))[0]
    assert [port.number for port in outbound.tcp_ports(mesh, caller, STORE)] == [25, 3306, 5432, 9000]
    made = {n: outbound.tcp_service(mesh, proxies["a1"], caller, Destination(STORE, n)) for n in (*listened, 22)}
    assert {number for number, service in made.items() if service is None} == {80, 22}
    assert [made[25] and made[25].chains, made[5432] and len(made[5432].chains)] == [(), 1]
