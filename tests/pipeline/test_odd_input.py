"""What is odd and yet valid: it is answered like anything else, and spoils nothing else."""

from __future__ import annotations

from msgspec.structs import replace

from declared_mesh import instance, mesh, resources
from envoy_like import EnvoyLike
from tulle.ir.routes import BackendRef
from tulle.ir.types import Answer
from tulle.model.names import Destination, ServiceName, service_of
from tulle.model.resources.mesh_config import MeshConfig
from tulle.model.resources.resource import MESH_CONFIG_NAME, Ref, Resource
from tulle.model.resources.service_entry import ServiceEntry
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Capture
from tulle.pipeline.covered import Covered
from tulle.pipeline.demands import Demand, Demands
from tulle.pipeline.hub import Hub
from tulle.pipeline.picture import Encoder, reach
from tulle.resolve import rules
from tulle.resolve.backends import basis
from tulle.resolve.callers import caller_of
from tulle.resolve.hosts import covers
from tulle.resolve.mesh import Mesh
from tulle.resolve.mesh_names import MeshNames
from tulle.resolve.outbound import route_config, virtual_host
from tulle.xds.requests import Request
from tulle.xds.resources import VHDS

CALLER = instance("page")


def configured(made: Mesh, config: MeshConfig) -> Mesh:
    resource = Resource(Ref("MeshConfig", "", MESH_CONFIG_NAME), config)
    return replace(made, declared=replace(made.declared, mesh_config=resource))


def test_a_virtual_service_of_tcp_routes_alone_says_nothing_of_requests() -> None:
    made = mesh(
        "VirtualService db\nhosts: [db.example.com]\ntcp: [{route: [{destination: {host: page}}]}]", there=(CALLER,)
    )
    asked = Destination(service_of("db.example.com"), 80)
    found = virtual_host(made, CALLER.workloads[0], asked, Capture.PROXY)
    assert found.host.answer is Answer.PASSTHROUGH
    reach(made, Encoder(), replace(CALLER, capture=Capture.PROXY), CALLER.workloads[0], asked, (), None)


def test_a_destination_that_can_not_be_made_takes_nothing_else_along() -> None:
    """Two endpoints whose weights together are more than Envoy's 32 bits hold."""
    hub = Hub()
    entry, rule = resources(
        "ServiceEntry big\nhosts: [big.example.com]\nports: [{number: 80, name: http, protocol: HTTP}]\n"
        "resolution: STATIC\nendpoints: [{address: 192.0.2.1}, {address: 192.0.2.2}]",
        "DestinationRule big\nhost: big.example.com\ntrafficPolicy: {outlierDetection: {}, loadBalancer: "
        "{localityLbSetting: {failoverPriority: [version]}}}",
    )
    assert isinstance(entry.spec, ServiceEntry)
    heavy = tuple(replace(endpoint, weight=2**32 - 1) for endpoint in entry.spec.endpoints)  # validation refuses that
    entry = replace(entry, spec=replace(entry.spec, endpoints=heavy))
    declared: dict[Ref, Resource | None] = {entry.ref: entry, rule.ref: rule}
    there = {p.id: p for p in (CALLER, instance("reviews"))}
    hub.apply(Snapshot(1, there, resources=declared))
    view = hub.connect(CALLER.id)
    config = route_config(CALLER.workloads[0])
    names = tuple(f"{config}/{host}" for host in ("big.example.com", "reviews"))
    touched = hub.receive(view, Request(VHDS, subscribe=names))
    assert len(touched.faults) == 1
    assert {d.destination.service.name for d in view.reached} == {"reviews"}
    assert len(view.services) >= 2
    assert not hub.receive(view, Request(VHDS)).faults


def test_of_too_many_spellings_only_those_beyond_the_limit_are_refused() -> None:
    demands = Demands()
    demand = Demand("outbound.page", Destination(ServiceName("default", "nobody"), 80))
    assert demands.add(demand, map(str, range(17)), known=False, now=0.0) == ("16",)
    assert demands.add(demand, ["3", "17"], known=False, now=0.0) == ("17",)
    assert demands.names(demand) == tuple(map(str, range(16)))


def test_a_sidecar_that_spells_a_service_in_too_many_ways_is_served_by_the_others() -> None:
    hub = Hub()
    hub.apply(Snapshot(1, {p.id: p for p in (CALLER, instance("reviews"))}))
    envoy = EnvoyLike(hub, CALLER.id).settle()
    spellings = ["".join(c.upper() if bits >> n & 1 else c for n, c in enumerate("reviews")) for bits in range(20)]
    envoy.ask(*spellings)
    envoy.settle()
    assert envoy.view.strangers == 4
    assert {demand.destination.service.name for demand in envoy.view.reached} == {"reviews"}


def test_what_a_wildcard_covers_is_found_as_hosts_say() -> None:
    names = ["a.b.c", "b.c", "x.a.b.c", "*.b.c", "*.c", "c", "*", "*.a.b.c"]
    index = Covered()
    for name in names:
        index.add(ServiceName("", name))
    for pattern in ("*", "*.c", "*.b.c", "*.a.b.c", "*.z"):
        assert {s.name for s in index.beneath(pattern)} == {name for name in names if covers(pattern, name)}, pattern
    for name in names:
        index.discard(ServiceName("", name))
    assert not index.beneath("*")


def test_a_scope_of_one_host_lets_the_rule_of_its_wildcard_through() -> None:
    made = mesh(
        "Sidecar default\negress: [{hosts: ['*/api.example.com']}]",
        "VirtualService all\nhosts: ['*.example.com']\nhttp: [{directResponse: {status: 418}}]",
        there=(CALLER,),
    )
    caller = caller_of(CALLER.workloads[0])
    seen = rules.scope(made.declared, caller)
    assert rules.virtual_service(made.declared, caller, seen, "api.example.com") is not None
    assert rules.virtual_service(made.declared, caller, seen, "web.example.com") is None


def test_a_route_to_a_host_beneath_a_wildcard_depends_on_that() -> None:
    made = mesh(
        "ServiceEntry all\nhosts: ['*.example.com']\nports: [{number: 80, name: http, protocol: HTTP}]\nresolution: NONE",
        there=(CALLER,),
    )
    names = MeshNames(made, caller_of(CALLER.workloads[0]))
    assert names.destination("api.example.com", "default", None, 80) is not None
    assert names.asked == {service_of("api.example.com"), service_of("*.example.com")}


def test_a_delegate_that_says_no_export_has_the_default_one() -> None:
    made = mesh(
        "VirtualService other/part\nhttp: [{directResponse: {status: 200}}]",
        there=(CALLER,),
    )
    made = configured(made, MeshConfig(default_virtual_service_export_to=(".",)))
    names = MeshNames(made, caller_of(CALLER.workloads[0]))
    assert names.delegate("other", "part", "default") is None
    assert names.delegate("other", "part", "other") is not None


def test_what_instances_are_to_one_namespace_is_not_taken_for_another() -> None:
    """defaultServiceExportTo hides a service's instances; a ServiceEntry of its host is there for all."""
    host = "page.default.svc.cluster.local"
    made = mesh(
        f"ServiceEntry page\nhosts: [{host}]\nexportTo: ['*']\nports: [{{number: 80, name: http, protocol: HTTP}}]\n"
        "resolution: STATIC\nendpoints: [{address: 192.0.2.1}]",
        there=(CALLER,),
    )
    made = configured(made, MeshConfig(default_service_export_to=(".",)))
    ref = BackendRef(Destination(ServiceName("default", "page"), 80))
    near, far = (caller_of(instance("x", namespace=space).workloads[0]) for space in ("default", "other"))
    own, others = basis(made, replace(near, labels=()), ref), basis(made, replace(far, labels=()), ref)
    assert own and others and own.variant != others.variant
