"""A Telemetry reaches the sidecars that it is for, and no others; and collectors are there before anybody calls them."""

from __future__ import annotations

from msgspec.structs import replace

from declared_mesh import instance, resources
from envoy_like import EnvoyLike
from golden import declared_in
from tulle.model.resources.resource import Resource
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Capture, Protocol
from tulle.pipeline.hub import Hub
from tulle.pipeline.in_force import InForce, in_force
from tulle.translate.names import destination_of_backend
from tulle.xds.resources import CDS, EDS, LDS

CLUSTER = "outbound|4317||otel.default.svc.cluster.local|telemetry-5000ms"
FILE = "envoy.access_loggers.file"  # what such an access log is called, as no other is
LOG = """
Telemetry web
selector: {matchLabels: {app: web}}
accessLogging: [{providers: [{name: envoy}]}]
"""
RECORDS = """
Telemetry web
selector: {matchLabels: {app: web}}
accessLogging: [{providers: [{name: records}]}]
"""
_PROVIDER = {"name": "records", "envoyOtelAls": {"service": "otel.default.svc.cluster.local", "port": 4317}}
_CONFIG = {
    "kind": "MeshConfig",
    "metadata": {"name": "mesh", "namespace": ""},
    "spec": {"extensionProviders": [_PROVIDER]},
}
PROVIDERS = next(one for one in declared_in([_CONFIG]).values() if one is not None)
WEB, OTHER = instance("web"), instance("other")
OTEL = instance("otel", port=4317, protocol=Protocol.GRPC)


def hub() -> tuple[Hub, EnvoyLike, EnvoyLike]:
    made = Hub()
    made.apply(Snapshot(1, {one.id: one for one in (WEB, OTHER)}))
    return made, EnvoyLike(made, WEB.id).settle(), EnvoyLike(made, OTHER.id).settle()


def declare(made: Hub, *declared: Resource) -> None:
    made.apply(Snapshot(made.mesh.revision + 1, resources={one.ref: one for one in declared}))


def logs(envoy: EnvoyLike, name: str, what: str) -> bool:
    """By both doors."""
    inbound, outbound = envoy.bodies[LDS, f"inbound.{name}"], envoy.bodies[LDS, f"outbound.{name}"]
    return what in str(inbound) and what in str(outbound)


def test_a_telemetry_reaches_its_workloads_and_no_others() -> None:
    made, web, other = hub()
    del web.sent[:], other.sent[:]
    declare(made, *resources(LOG))
    assert in_force(made.views[WEB.id])["Telemetry default/web"] == InForce(1, 0)
    web.settle()
    other.settle()
    assert (LDS, f"inbound.{WEB.id}") in web.sent and other.sent == []
    assert logs(web, WEB.id, FILE) and not logs(other, OTHER.id, FILE)
    assert in_force(made.views[WEB.id]) == {"Telemetry default/web": InForce(1, 1)}
    assert in_force(made.views[OTHER.id]) == {}
    [resource] = resources(LOG)
    made.apply(Snapshot(9, resources={resource.ref: None}))
    web.settle()
    assert not logs(web, WEB.id, FILE)


def test_b3_is_heeded_by_all_or_by_nobody_and_never_where_no_spans_are_told() -> None:
    quiet = """
    Telemetry web
    selector: {matchLabels: {app: web}}
    tracing: [{disableSpanReporting: true}]
    """
    for heeded in (True, False):
        made = Hub(b3=heeded)
        made.apply(Snapshot(1, {one.id: one for one in (WEB, OTHER)}))
        web, other = EnvoyLike(made, WEB.id).settle(), EnvoyLike(made, OTHER.id).settle()
        assert logs(web, WEB.id, "x-b3-traceid") == logs(other, OTHER.id, "x-b3-traceid") == heeded
        declare(made, *resources(quiet))
        web.settle()
        other.settle()
        assert not any("x-b3-traceid" in str(body) for body in web.bodies.values())
        assert logs(other, OTHER.id, "x-b3-traceid") == heeded


def test_a_listener_of_its_own_is_told_of_too() -> None:
    made = Hub()
    web = replace(WEB, capture=Capture.REDIRECT)
    db = instance("db", port=5432, protocol=Protocol.TCP)
    made.apply(Snapshot(1, {one.id: one for one in (web, db)}))
    envoy = EnvoyLike(made, web.id).settle()
    made.connects_to(web.id, db.workloads[0].service)
    envoy.settle()
    declare(made, *resources(LOG))
    envoy.settle()
    bodies = [str(body) for (kind, name), body in envoy.bodies.items() if kind == LDS and name.endswith(":5432")]
    assert all(FILE in body for body in bodies)


def test_a_collector_comes_with_the_doors_and_goes_with_them() -> None:
    made, web, _ = hub()
    made.apply(Snapshot(2, {OTEL.id: OTEL}))
    declare(made, PROVIDERS, *resources(RECORDS))
    web.settle()
    assert logs(web, WEB.id, CLUSTER) and CLUSTER in web.held[CDS] and CLUSTER in web.held[EDS]
    declare(made, *resources(LOG))
    web.settle()
    assert not logs(web, WEB.id, CLUSTER) and CLUSTER not in web.held[CDS]


def test_doors_do_not_wait_for_a_collector_that_is_not_there_and_find_it_when_it_comes() -> None:
    made, web, _ = hub()
    declare(made, PROVIDERS, *resources(RECORDS))
    web.settle()
    assert web.view.ready and not logs(web, WEB.id, CLUSTER)
    made.apply(Snapshot(made.mesh.revision + 1, {OTEL.id: OTEL}))
    web.settle()
    assert logs(web, WEB.id, CLUSTER) and CLUSTER in web.held[CDS] and web.view.ready


def test_providers_of_one_service_may_differ_in_how_long_they_wait() -> None:
    made, web, _ = hub()
    made.apply(Snapshot(2, {OTEL.id: OTEL}))
    spans = {"service": "otel.default.svc.cluster.local", "port": 4317, "grpc": {"timeout": "1500ms"}}
    providers = [_PROVIDER, {"name": "spans", "opentelemetry": spans}]
    config = {**_CONFIG, "spec": {"extensionProviders": providers}}
    both = f"{RECORDS.rstrip()}\ntracing: [{{providers: [{{name: spans}}]}}]"
    declare(made, *filter(None, declared_in([config]).values()), *resources(both))
    web.settle()
    shorter = CLUSTER.replace("5000ms", "1500ms")
    assert {CLUSTER, shorter} <= web.held[CDS].keys() and logs(web, WEB.id, CLUSTER) and logs(web, WEB.id, shorter)
    declare(made, *resources(RECORDS))
    web.settle()
    assert CLUSTER in web.held[CDS] and shorter not in web.held[CDS]


def test_a_sidecar_that_comes_back_is_not_said_to_have_called_its_collector() -> None:
    made, web, _ = hub()
    made.apply(Snapshot(2, {OTEL.id: OTEL}))
    declare(made, PROVIDERS, *resources(RECORDS))
    web.settle()
    assert destination_of_backend(CLUSTER) is None and web.view.destinations == 0


def test_a_collector_whose_instances_change_is_followed() -> None:
    made, web, _ = hub()
    declare(made, PROVIDERS, *resources(RECORDS))
    for port in (7001, 7002):
        made.apply(Snapshot(made.mesh.revision + 1, {OTEL.id: replace(OTEL, inbound_port=port)}))
        web.settle()
        assert str(port) in str(web.bodies[EDS, CLUSTER])
    made.apply(Snapshot(made.mesh.revision + 1, {OTEL.id: None}))
    web.settle()
    assert CLUSTER not in web.held[CDS] and CLUSTER not in web.held[EDS] and not logs(web, WEB.id, CLUSTER)
