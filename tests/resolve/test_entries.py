"""What declared hosts come to: who may see them, who serves them, how they are found."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from golden import declared_in
from tulle.ir.routes import BackendRef
from tulle.ir.types import Backend, Discovery, Endpoint, Transport
from tulle.model.names import Destination, ServiceName
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Capture, Health, Proxy, ServicePort, Workload
from tulle.resolve import backends, inbound, outbound
from tulle.resolve.callers import Caller
from tulle.resolve.index import apply
from tulle.resolve.mesh import Mesh
from tulle.translate.routes import mesh_hosts

A = Workload("a1", ServiceName("default", "a"), "a", ports=(ServicePort(80, 8080, name="http"),), health=Health.HEALTHY)
PROXY = Proxy("a1", "127.0.0.1", 20001, 30001, (A,))
HOST = ServiceName("", "api.example.com")


def mesh_of(*documents: str) -> Mesh:
    read: list[Any] = [yaml.safe_load(text) for text in documents]
    return apply(Mesh(), Snapshot(1, {"a1": PROXY}, resources=declared_in(read)))[0]


def entry(spec: str, name: str = "api", namespace: str = "default") -> str:
    ports = "ports: [{number: 80, name: http, protocol: HTTP}]"
    host = "" if "hosts:" in spec else "hosts: [api.example.com], "
    return (
        f"{{kind: ServiceEntry, metadata: {{name: {name}, namespace: {namespace}}}, spec: {{{host}{ports}, {spec}}}}}"
    )


def found(mesh: Mesh, service: ServiceName = HOST, namespace: str = "default") -> tuple[Backend, list[Endpoint]]:
    basis = backends.basis(mesh, Caller(namespace), BackendRef(Destination(service, 80)))
    assert basis is not None
    endpoints = backends.endpoints(basis).localities
    return backends.backend(basis), [endpoint for locality in endpoints for endpoint in locality.endpoints]


@pytest.mark.parametrize(
    ("spec", "discovery", "transport"),
    [
        ("resolution: STATIC, endpoints: [{address: 192.0.2.1}]", Discovery.MESH, Transport.PLAIN),
        ("resolution: DNS", Discovery.DNS, Transport.PLAIN),
        ("resolution: DNS, endpoints: [{address: 192.0.2.1}]", Discovery.MESH, Transport.PLAIN),
        ("resolution: DNS_ROUND_ROBIN", Discovery.DNS_ROUND_ROBIN, Transport.PLAIN),
        ("resolution: NONE", Discovery.DNS_ROUND_ROBIN, Transport.PLAIN),
        ("resolution: STATIC, workloadSelector: {labels: {app: a}}", Discovery.MESH, Transport.MESH),
        ("resolution: STATIC, workloadSelector: {labels: {app: nobody}}", Discovery.MESH, Transport.PLAIN),
    ],
)
def test_a_host_is_found_as_its_entry_says(spec: str, discovery: Discovery, transport: Transport) -> None:
    backend, _ = found(mesh_of(entry(spec)))
    assert (backend.discovery, backend.transport) == (discovery, transport)


def test_a_wildcard_is_looked_up_by_each_request() -> None:
    service = ServiceName("", "*.example.com")
    backend, endpoints = found(mesh_of(entry("hosts: ['*.example.com'], resolution: DYNAMIC_DNS")), service)
    assert (backend.discovery, endpoints) == (Discovery.DYNAMIC, [])


def test_instances_and_processes_without_a_sidecar_serve_side_by_side() -> None:
    selects = entry("resolution: STATIC, workloadSelector: {labels: {app: a}}")
    process = "{kind: WorkloadEntry, metadata: {name: w}, spec: {address: 192.0.2.1, labels: {app: a}, weight: 3}}"
    mesh = mesh_of(selects, process)
    backend, endpoints = found(mesh)
    assert backend.transport is Transport.MIXED
    assert backend.identities == (A.identity,)
    own = Endpoint("127.0.0.1", 20001, peer="a.default.a.unknown.a.latest.workload")
    assert endpoints == [own, Endpoint("192.0.2.1", 80, weight=3, plain=True)]
    door = inbound.inbound(mesh, PROXY, A)
    assert door is not None
    assert door.ports[0].also == (Destination(HOST, 80),)


def test_a_group_fills_in_what_its_entries_leave_out() -> None:
    mesh = mesh_of(
        entry("resolution: STATIC, workloadSelector: {labels: {app: old}}"),
        "{kind: WorkloadGroup, metadata: {name: g}, spec: {template: {labels: {app: old}, ports: {http: 9000}, weight: 2}}}",
        "{kind: WorkloadEntry, metadata: {name: w, annotations: {istio.io/autoRegistrationGroup: g}},"
        " spec: {address: 192.0.2.1, weight: 5}}",
    )
    assert found(mesh)[1] == [Endpoint("192.0.2.1", 9000, weight=5, plain=True)]


def test_an_entry_is_seen_where_it_is_exported_to() -> None:
    mesh = mesh_of(entry("resolution: DNS, exportTo: ['.']", namespace="shop"))
    ref = BackendRef(Destination(HOST, 80))
    assert backends.basis(mesh, Caller("shop"), ref) is not None
    assert backends.basis(mesh, Caller("default"), ref) is None


def test_names_for_the_certificate_hold_where_tls_begins_here() -> None:
    tls = "{kind: DestinationRule, metadata: {name: d}, spec: {host: api.example.com, trafficPolicy: {tls: {mode: SIMPLE}}}}"
    backend, _ = found(mesh_of(entry("resolution: DNS, subjectAltNames: [other.example.com]"), tls))
    assert backend.policy.tls is not None
    assert backend.policy.tls.names == ("other.example.com",)


@pytest.mark.parametrize(
    ("declared", "passes"),
    [
        ([], True),
        (["{kind: MeshConfig, metadata: {name: mesh, namespace: ''}, spec: {outboundTrafficPolicy: {}}}"], False),
        (["{kind: Sidecar, metadata: {name: s}, spec: {outboundTrafficPolicy: {}}}"], False),
        (
            [
                "{kind: MeshConfig, metadata: {name: mesh, namespace: ''}, spec: {outboundTrafficPolicy: {}}}",
                "{kind: Sidecar, metadata: {name: s}, spec: {outboundTrafficPolicy: {mode: ALLOW_ANY}}}",
            ],
            True,
        ),
    ],
)
def test_others_may_be_called_unless_mesh_or_sidecar_says_otherwise(declared: list[str], passes: bool) -> None:
    mesh = mesh_of(*declared)
    assert outbound.outbound_routes(mesh, PROXY, A).passes is passes
    stranger = outbound.virtual_host(mesh, A, Destination(ServiceName("default", "x"), 80), Capture.PROXY)
    assert stranger.host.answer == ("passthrough" if passes else "blocked")


def test_declared_hosts_are_asked_for_and_beyond_200_every_name() -> None:
    few = mesh_of(entry("hosts: [api.example.com, '*.wild.example.com']"))
    routes = outbound.outbound_routes(few, PROXY, A)
    asked = re.compile(mesh_hosts(routes.namespaces, routes.hosts))
    for name in ("api.example.com", "API.example.com:8080", "x.y.wild.example.com", "a", "a.default"):
        assert asked.fullmatch(name), name
    for name in ("wild.example.com", "apixexample.com", "example.org", "192.0.2.1", "192.0.2.1:80"):
        assert not asked.fullmatch(name), name
    many = mesh_of(entry(f"hosts: [{', '.join(f'h{n}.example.com' for n in range(201))}]"))
    routes = outbound.outbound_routes(many, PROXY, A)
    assert routes.hosts is None
    every = re.compile(mesh_hosts(routes.namespaces, routes.hosts))
    assert every.fullmatch("example.org:443")
    assert not every.fullmatch("192.0.2.1:443")


def test_names_of_namespaces_are_asked_for_and_beyond_500_those_of_any() -> None:
    """What is listed goes to every sidecar, and Envoy's RE2 takes no expression of any length."""
    spaces = tuple(f"{'long-' * 11}{n}" for n in range(5000))
    few, many = replace(mesh_of(), namespaces=spaces[:500]), replace(mesh_of(), namespaces=spaces)
    for mesh, others in ((few, False), (many, True)):
        routes = outbound.outbound_routes(mesh, PROXY, A)
        expression = mesh_hosts(routes.namespaces, routes.hosts)
        assert len(expression) < 500 * 64
        asked = re.compile(expression)
        for name in ("a", f"b.{spaces[7]}", f"b.{spaces[7]}.svc:80", "b.other.svc.cluster.local"):
            assert asked.fullmatch(name), name
        for name in ("www.example.org", "192.0.2.1", "b.other.svc.example.org"):
            assert not asked.fullmatch(name), name
        assert bool(asked.fullmatch("b.other:8080")) is others
