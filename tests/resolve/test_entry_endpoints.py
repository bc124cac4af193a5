"""What a ServiceEntry makes of its endpoints, for each resolution and place. Sources: Istio, Service Entry and Workload Entry."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tulle.ir.policies import OriginateTls
from tulle.ir.routes import BackendRef
from tulle.ir.types import Answer, Backend, Discovery, Endpoint, Transport
from tulle.model.names import Destination, ServiceName, service_of
from tulle.model.resources.resource import SPECS, Ref, Resource
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Capture, Health, Proxy, ServicePort, Workload
from tulle.resolve import backends, outbound
from tulle.resolve.callers import Caller
from tulle.resolve.inbound import inbound
from tulle.resolve.index import apply
from tulle.resolve.meanings import meant
from tulle.resolve.mesh import Mesh

HTTP = {"number": 80, "name": "http", "protocol": "HTTP"}


def declared(kind: str, name: str, spec: dict[str, Any], namespace: str = "default") -> Resource:
    return Resource(Ref(kind, namespace, name), msgspec.convert(spec, SPECS[kind]))


def entry(name: str = "entry", namespace: str = "default", **spec: Any) -> Resource:
    return declared("ServiceEntry", name, {"hosts": ["api.example.com"], "ports": [HTTP], **spec}, namespace)


def instance(id: str, service: ServiceName, *ports: ServicePort, health: Health = Health.HEALTHY) -> Proxy:
    workload = Workload(id, service, service.name, ports=ports, health=health)
    return Proxy(id, "127.0.0.1", 20001, 20002, (workload,))


def mesh_of(*resources: Resource, proxies: tuple[Proxy, ...] = ()) -> Mesh:
    snapshot = Snapshot(1, {p.id: p for p in proxies}, resources={one.ref: one for one in resources})
    return apply(Mesh(), snapshot)[0]


def reached(
    mesh: Mesh, host: str = "api.example.com", port: int = 80, subset: str = "", namespace: str = "default"
) -> tuple[Backend, list[Endpoint]]:
    basis = backends.basis(mesh, Caller(namespace), BackendRef(Destination(service_of(host), port), subset))
    assert basis is not None
    backend = backends.backend(basis)
    places = backends.endpoints(basis).localities if backend.told else backend.localities
    return backend, [endpoint for place in places for endpoint in place.endpoints]


@pytest.mark.parametrize("resolution", ["NONE", "DNS", "DNS_ROUND_ROBIN"])
def test_a_host_that_says_nothing_of_endpoints_is_where_dns_says(resolution: str) -> None:
    backend, endpoints = reached(mesh_of(entry(resolution=resolution)))
    assert backend.discovery is (Discovery.DNS if resolution == "DNS" else Discovery.DNS_ROUND_ROBIN)
    assert (backend.transport, endpoints) == (Transport.PLAIN, [Endpoint("api.example.com", 80, plain=True)])


@pytest.mark.parametrize("resolution", ["NONE", "DYNAMIC_DNS"])
def test_hosts_beneath_a_wildcard_are_looked_up_as_they_are_called(resolution: str) -> None:
    backend, _ = reached(mesh_of(entry(hosts=["*.wiki.example"], resolution=resolution)), "de.wiki.example")
    assert (backend.discovery, backend.transport) == (Discovery.DYNAMIC, Transport.PLAIN)


@pytest.mark.parametrize("protocol", ["TLS", "HTTPS", ""])
@pytest.mark.parametrize(("host", "names"), [("*.wiki.example", [("*.wiki.example",), ()]), ("*", [()])])
def test_connections_are_looked_up_by_a_name_beneath_the_wildcard_or_closed(
    protocol: str, host: str, names: list[tuple[str, ...]]
) -> None:
    port = {"number": 9443, "name": "p", "protocol": protocol}
    mesh = mesh_of(entry(hosts=[host], ports=[port], resolution="DYNAMIC_DNS"))
    caller = instance("a", ServiceName("default", "a")).workloads[0]
    found = outbound.virtual_host(mesh, caller, Destination(service_of("de.wiki.example"), 9443), Capture.SECCOMP)
    assert [chain.sni for chain in found.chains] == names
    assert [chain.lookup for chain in found.chains] == [9443, *[0] * (len(names) - 1)]
    assert not any(chain.backends for chain in found.chains[1:])


def test_without_resolution_the_declared_addresses_come_before_dns() -> None:
    mesh = mesh_of(entry(addresses=["10.1.2.3", "10.9.0.0/16"]))
    backend, endpoints = reached(mesh)
    assert (backend.discovery, endpoints) == (Discovery.MESH, [Endpoint("10.1.2.3", 80, plain=True)])


def test_an_endpoint_has_the_port_of_the_name_then_the_target_then_the_number() -> None:
    ports = [{**HTTP, "targetPort": 8080}]
    named = {"address": "10.0.0.1", "ports": {"http": 9000}}
    _, endpoints = reached(mesh_of(entry(ports=ports, resolution="STATIC", endpoints=[named, {"address": "10.0.0.2"}])))
    assert [(e.address, e.port) for e in endpoints] == [("10.0.0.1", 9000), ("10.0.0.2", 8080)]
    _, endpoints = reached(mesh_of(entry(resolution="STATIC", endpoints=[{"address": "10.0.0.2"}])))
    assert [e.port for e in endpoints] == [80]
    _, endpoints = reached(mesh_of(entry(ports=ports, resolution="DNS")))
    assert [e.port for e in endpoints] == [8080]


def test_endpoints_have_weights_localities_and_sockets() -> None:
    given = [
        {"address": "10.0.0.1", "weight": 4, "locality": "r/z"},
        {"address": "10.0.0.2", "labels": {"istio-locality": "r.z"}},
        {"address": "unix:///run/api.sock", "locality": "s"},
    ]
    mesh = mesh_of(entry(resolution="STATIC", endpoints=given))
    basis = backends.basis(mesh, Caller("default"), BackendRef(Destination(service_of("api.example.com"), 80)))
    assert basis is not None
    found = {place.name: place.endpoints for place in backends.endpoints(basis).localities}
    assert found == {
        "r/z": (Endpoint("10.0.0.1", 80, weight=4, plain=True), Endpoint("10.0.0.2", 80, plain=True)),
        "s": (Endpoint("unix:///run/api.sock", 80, plain=True),),
    }


def test_names_among_the_endpoints_are_looked_up_and_addresses_are_told() -> None:
    named = mesh_of(entry(resolution="DNS", endpoints=[{"address": "us.example.com"}, {"address": "10.0.0.1"}]))
    assert reached(named)[0].discovery is Discovery.DNS
    assert reached(mesh_of(entry(resolution="DNS", endpoints=[{"address": "10.0.0.1"}])))[0].discovery is Discovery.MESH


def test_a_subset_is_of_the_endpoints_with_its_labels() -> None:
    given = [{"address": "10.0.0.1", "labels": {"version": "v1"}}, {"address": "10.0.0.2", "labels": {"version": "v2"}}]
    subsets = [{"name": "two", "labels": {"version": "v2"}}]
    rule = declared("DestinationRule", "rule", {"host": "api.example.com", "subsets": subsets})
    _, endpoints = reached(mesh_of(entry(resolution="STATIC", endpoints=given), rule), subset="two")
    assert [e.address for e in endpoints] == ["10.0.0.2"]


def test_a_selector_joins_workload_entries_and_instances_of_its_namespace() -> None:
    chosen = entry(
        location="MESH_INTERNAL", resolution="STATIC", workloadSelector={"labels": {"app": "api"}}, ports=[HTTP]
    )
    near = declared("WorkloadEntry", "near", {"address": "10.0.0.1", "labels": {"app": "api"}})
    other = declared("WorkloadEntry", "other", {"address": "10.0.0.2", "labels": {"app": "db"}})
    far = declared("WorkloadEntry", "far", {"address": "10.0.0.3", "labels": {"app": "api"}}, "elsewhere")
    here = instance("api-1", ServiceName("default", "api"), ServicePort(80, 8080))
    there = instance("api-2", ServiceName("elsewhere", "api"), ServicePort(80, 8080))
    mesh = mesh_of(chosen, near, other, far, proxies=(here, there))
    backend, endpoints = reached(mesh)
    assert [(e.address, e.port, e.plain) for e in endpoints] == [("10.0.0.1", 80, True), ("127.0.0.1", 20001, False)]
    assert backend.transport is Transport.MIXED
    assert backend.identities == ("spiffe://cluster.local/ns/default/sa/api",)


def test_a_chosen_instance_takes_calls_by_the_names_of_the_entry() -> None:
    chosen = entry(
        location="MESH_INTERNAL",
        resolution="STATIC",
        workloadSelector={"labels": {"app": "api"}},
        ports=[{**HTTP, "number": 8000, "targetPort": 8080}],
    )
    here = instance("api-1", ServiceName("default", "api"), ServicePort(80, 8080))
    mesh = mesh_of(chosen, proxies=(here,))
    door = inbound(mesh, here, here.workloads[0])
    assert door is not None
    assert [port.also for port in door.ports] == [(Destination(service_of("api.example.com"), 8000),)]


def test_a_chosen_instance_that_is_ill_is_given_nothing() -> None:
    chosen = entry(location="MESH_INTERNAL", resolution="STATIC", workloadSelector={"labels": {"app": "api"}})
    ill = instance("api-1", ServiceName("default", "api"), ServicePort(80, 8080), health=Health.UNHEALTHY)
    backend, endpoints = reached(mesh_of(chosen, proxies=(ill,)))
    assert (backend.transport, endpoints) == (Transport.MESH, [])
    assert backend.identities == ("spiffe://cluster.local/ns/default/sa/api",)  # nobody else, also not for a moment


def test_an_entry_adds_to_a_service_of_the_mesh() -> None:
    more = entry(
        hosts=["api.default.svc.cluster.local"],
        location="MESH_INTERNAL",
        resolution="STATIC",
        endpoints=[{"address": "10.0.0.1"}],
    )
    here = instance("api-1", ServiceName("default", "api"), ServicePort(80, 8080), ServicePort(81, 8081))
    mesh = mesh_of(more, proxies=(here,))
    backend, endpoints = reached(mesh, "api.default.svc.cluster.local")
    assert (backend.transport, len(endpoints)) == (Transport.MIXED, 2)
    backend, endpoints = reached(mesh, "api.default.svc.cluster.local", 81)
    assert (backend.transport, len(endpoints)) == (Transport.MESH, 1)


def test_the_names_of_an_entry_are_whom_tls_must_prove() -> None:
    rule = declared(
        "DestinationRule", "rule", {"host": "api.example.com", "trafficPolicy": {"tls": {"mode": "SIMPLE"}}}
    )
    backend, _ = reached(mesh_of(entry(resolution="DNS", subjectAltNames=["api.example.org"]), rule))
    assert backend.policy.tls == OriginateTls(names=("api.example.org",))


def test_an_entry_that_is_not_exported_is_its_namespaces_own() -> None:
    hidden = entry(namespace="secret", exportTo=["."], resolution="DNS")
    mesh, destination = mesh_of(hidden), Destination(service_of("api.example.com"), 80)
    ref = BackendRef(destination)
    assert backends.basis(mesh, Caller("default"), ref) is None
    assert backends.basis(mesh, Caller("secret"), ref) is not None
    stranger = Workload("a-1", ServiceName("default", "a"), "a")
    assert outbound.virtual_host(mesh, stranger, destination, Capture.PROXY).host.answer is Answer.PASSTHROUGH


def test_ports_that_carry_grpc_are_spoken_to_in_http2() -> None:
    backend, _ = reached(mesh_of(entry(ports=[{"number": 80, "name": "grpc"}], resolution="DNS")))
    assert backend.http2


def test_a_declared_address_means_the_host_of_the_oldest_entry_with_it() -> None:
    mesh = mesh_of(
        entry("b", addresses=["10.1.2.3"], hosts=["other.example.com"]),
        entry("a", addresses=["10.1.2.3", "10.9.0.0/16"], hosts=["*.wiki.example", "api.example.com"]),
    )
    destination = Destination(service_of("api.example.com"), 80)
    assert meant(mesh, "10.1.2.3", "default") == meant(mesh, "10.1.2.3:80", "default") == destination
    assert meant(mesh, "10.9.0.1", "default") is None
    caller = Workload("a-1", ServiceName("default", "a"), "a")
    by_name = ("api.example.com", "api.example.com:80")
    found = outbound.virtual_host(mesh, caller, destination, Capture.PROXY).host
    assert found.domains == (*by_name, "10.1.2.3", "10.1.2.3:80")
    assert outbound.virtual_host(mesh, caller, destination, Capture.REDIRECT).host.domains == by_name
