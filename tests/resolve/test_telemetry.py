"""What is told of a workload's calls, by the Telemetries of its mesh, namespace and workload, and by MeshConfig."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import yaml

from tulle.ir.telemetry import AccessLog, LogEncoding, MetricOverride, SpanTag, TagKind, TagOverride, Telemetry, Tracing
from tulle.model.names import ServiceName
from tulle.model.resources.resource import SPECS, Ref, Resource
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Health, Protocol, Proxy, ServicePort, Workload
from tulle.resolve.analysis.analyse import analyse
from tulle.resolve.index import apply
from tulle.resolve.mesh import Mesh
from tulle.resolve.telemetry.metrics import NAMES
from tulle.resolve.telemetry.sides import Sides, sides

WEB = Workload(
    "web-1",
    ServiceName("default", "web"),
    "web",
    labels=(("tier", "front"),),
    ports=(ServicePort(80, 8080),),
    health=Health.HEALTHY,
)
OTEL = Workload(
    "otel-1",
    ServiceName("default", "otel"),
    "otel",
    ports=(ServicePort(4317, 4317, Protocol.GRPC), ServicePort(4318, 4318)),
    health=Health.HEALTHY,
)
LOG = "accessLogging: [{providers: [{name: envoy}]}]"
PROVIDERS = """
extensionProviders:
- {name: json, envoyFileAccessLog: {path: /tmp/calls, logFormat: {labels: {code: '%RESPONSE_CODE%'}}}}
- {name: records, envoyOtelAls: {service: otel.default.svc.cluster.local, port: 4317, logName: mine}}
- {name: lost, envoyOtelAls: {service: nobody.default.svc.cluster.local, port: 4317}}
- {name: spans, opentelemetry: {service: default/otel, port: 4318, maxTagLength: 99, http: {path: /v1/traces, timeout: 2s}}}
- {name: no-grpc, opentelemetry: {service: otel.default.svc.cluster.local, port: 4318}}
"""


def resource(
    spec: str, name: str = "it", namespace: str = "default", kind: str = "Telemetry", created: float = 0.0
) -> Resource:
    return Resource(Ref(kind, namespace, name), msgspec.convert(yaml.safe_load(spec), SPECS[kind]), created=created)


def config(spec: str) -> Resource:
    return resource(spec, "mesh", "", "MeshConfig")


def mesh(*resources: Resource, proxies: tuple[Workload, ...] = (WEB, OTEL)) -> Mesh:
    there = {one.id: Proxy(one.id, "127.0.0.1", 20000 + n, 20010 + n, (one,)) for n, one in enumerate(proxies)}
    return apply(Mesh(), Snapshot(1, there, resources={one.ref: one for one in resources}))[0]


def told(*resources: Resource, workload: Workload = WEB) -> Sides:
    return sides(mesh(*resources), workload)


def logged(*resources: Resource) -> tuple[list[str], list[str]]:
    """By which providers, and by which filters, of the workload's own calls and of those to it."""
    found = told(*resources)
    client, server = (
        [f"{one.name} {one.filter}".strip() for one in side.logs] for side in (found.client, found.server)
    )
    return client, server


def test_what_nobody_speaks_of_is_traced_and_not_logged() -> None:
    alone = told()
    assert alone.client == alone.server == Telemetry(service="web.default", tracing=Tracing(1.0))
    assert alone.sources == ()


@pytest.mark.parametrize(
    ("resources", "client", "server"),
    [
        ([resource(f"{{{LOG}}}")], ["envoy"], ["envoy"]),
        ([resource(f"{{{LOG}}}", namespace="istio-system")], ["envoy"], ["envoy"]),
        ([resource(f"{{{LOG}}}", namespace="other")], [], []),
        ([resource(f"{{selector: {{matchLabels: {{tier: back}}}}, {LOG}}}")], [], []),
        ([resource(f"{{selector: {{matchLabels: {{tier: front}}}}, {LOG}}}")], ["envoy"], ["envoy"]),
        ([resource(f"{{targetRef: {{kind: Service, name: web}}, {LOG}}}")], ["envoy"], ["envoy"]),
        ([resource(f"{{targetRef: {{kind: Service, name: other}}, {LOG}}}")], [], []),
        ([config("{accessLogFile: /dev/stdout}")], ["envoy"], ["envoy"]),
        ([config("{defaultProviders: {accessLogging: [envoy]}}")], ["envoy"], ["envoy"]),
        ([resource("{accessLogging: [{providers: [{name: envoy}], match: {mode: SERVER}}]}")], [], ["envoy"]),
        ([resource("{accessLogging: [{providers: [{name: envoy}], match: {mode: CLIENT}}]}")], ["envoy"], []),
        (
            [
                resource(f"{{{LOG}}}", namespace="istio-system"),
                resource("{accessLogging: [{filter: {expression: response.code > 499}}]}"),
            ],
            ["envoy response.code > 499"],
            ["envoy response.code > 499"],
        ),
        (
            [
                resource(f"{{{LOG}}}", namespace="istio-system"),
                resource("{accessLogging: [{disabled: true, match: {mode: CLIENT}}]}"),
            ],
            [],
            ["envoy"],
        ),
        (
            [
                config(PROVIDERS),
                resource(f"{{{LOG}}}", namespace="istio-system"),
                resource("{accessLogging: [{providers: [{name: json}]}]}"),
            ],
            ["json"],
            ["json"],
        ),
        (
            [config("{accessLogFile: /dev/stdout}"), resource("{accessLogging: [{disabled: true}]}")],
            [],
            [],
        ),
        (
            [resource(f"{{{LOG}}}", created=2.0), resource("{accessLogging: []}", "older", created=1.0)],
            [],
            [],
        ),
        ([resource("{accessLogging: [{providers: [{name: nobody}]}]}")], [], []),
        ([resource("{accessLogging: [{providers: [{name: ENVOY}]}]}")], ["envoy"], ["envoy"]),
    ],
    ids=[
        "the namespace's",
        "the mesh's",
        "another namespace's",
        "of other workloads",
        "of the workload",
        "of its service",
        "of another service",
        "MeshConfig's file",
        "MeshConfig's default",
        "calls to it",
        "its own calls",
        "a narrower filter",
        "a narrower end of half of it",
        "the narrowest providers count",
        "an end of the mesh's file",
        "the oldest counts",
        "nobody's provider",
        "a provider in capitals",
    ],
)
def test_calls_are_logged_as_the_scopes_say(resources: list[Resource], client: list[str], server: list[str]) -> None:
    assert logged(*resources) == (client, server)


def test_a_log_has_the_form_of_its_provider() -> None:
    of_mesh = '{accessLogFile: /tmp/mesh, accessLogEncoding: JSON, accessLogFormat: \'{"a": "%PROTOCOL%"}\'}'
    assert told(config(of_mesh)).client.logs == (
        AccessLog("envoy", "/tmp/mesh", LogEncoding.JSON, fields=(("a", "%PROTOCOL%"),)),
    )
    both = resource("{accessLogging: [{providers: [{name: json}, {name: records}]}]}")
    json, records = told(config(PROVIDERS), both).server.logs
    assert json == AccessLog("json", "/tmp/calls", LogEncoding.JSON, fields=(("code", "%RESPONSE_CODE%"),))
    assert records.otlp is not None and records.otlp.backend is not None and records.otlp.path == ""
    assert (records.name, str(records.otlp.backend.destination)) == ("mine", "otel.default.svc.cluster.local:4317")


def test_a_collector_that_is_not_there_is_known_and_waited_for() -> None:
    found = told(config(PROVIDERS), resource("{accessLogging: [{providers: [{name: lost}]}]}")).client
    [collector] = found.collectors
    assert collector.service == ServiceName("default", "nobody") and collector.backend is None
    assert "no service nobody.default.svc.cluster.local" in collector.problem


def tracing(*resources: Resource) -> Any:
    return told(*resources).client.tracing


def test_each_field_of_tracing_is_inherited_by_itself() -> None:
    wide = resource(
        "{tracing: [{randomSamplingPercentage: 10, customTags: {a: {literal: {value: x}}}, enableIstioTags: false}]}",
        namespace="istio-system",
    )
    narrow = resource("{tracing: [{match: {mode: CLIENT}, customTags: {b: {header: {name: x-b, defaultValue: '-'}}}}]}")
    found = told(wide, narrow)
    assert found.client.tracing == Tracing(10.0, (SpanTag("b", TagKind.HEADER, "x-b", "-"),), istio_tags=False)
    assert found.server.tracing == Tracing(10.0, (SpanTag("a", TagKind.LITERAL, "x"),), istio_tags=False)
    assert found.sources == ("Telemetry default/it", "Telemetry istio-system/it")


def test_mesh_config_says_how_calls_are_traced_where_no_telemetry_does() -> None:
    said = config(
        "{defaultConfig: {tracing: {sampling: 0, maxPathTagLength: 60, customTags: {h: {environment: {name: HOME}}}}}}"
    )
    assert tracing(said) == Tracing(0.0, (SpanTag("h", TagKind.ENVIRONMENT, "HOME"),), longest_path=60)
    assert tracing(config("{enableTracing: false}")) is None
    assert tracing(config("{enableTracing: false}"), resource("{tracing: [{randomSamplingPercentage: 5}]}")) == Tracing(
        5.0
    )


def test_spans_go_to_the_provider_that_is_named_and_to_no_other() -> None:
    sent = tracing(config(PROVIDERS), resource("{tracing: [{providers: [{name: spans}]}]}"))
    assert (sent.collector.path, sent.collector.timeout, sent.longest_path) == ("/v1/traces", 2_000_000_000, 99)
    assert sent.reports and str(sent.collector.backend.destination) == "otel.default.svc.cluster.local:4318"
    for name in ("nobody", "json", "no-grpc"):
        assert not tracing(config(PROVIDERS), resource(f"{{tracing: [{{providers: [{{name: {name}}}]}}]}}")).reports
    assert tracing(resource("{tracing: [{providers: [{name: tulle}]}]}")) == Tracing()
    assert not tracing(resource("{tracing: [{disableSpanReporting: true}]}")).reports
    assert not tracing(resource("{tracing: [{disableContextPropagation: true}]}")).propagates


def test_the_last_word_on_each_figure_and_label_counts() -> None:
    wide = resource(
        "{metrics: [{overrides: [{disabled: true}, {match: {metric: REQUEST_COUNT}, disabled: false, "
        "tagOverrides: {host: {value: request.host}, source_app: {operation: REMOVE}}}]}]}",
        namespace="istio-system",
    )
    narrow = resource(
        "{metrics: [{overrides: [{match: {metric: REQUEST_COUNT, mode: SERVER}, tagOverrides: {host: {operation: REMOVE}}}]}]}"
    )
    found = told(wide, narrow)
    count = "istio_requests_total"
    others = tuple(MetricOverride(name, is_disabled=True) for name in sorted(NAMES.values()) if name != count)
    of_client = MetricOverride(count, tags=(TagOverride("host", "request.host"), TagOverride("source_app")))
    of_server = MetricOverride(count, tags=(TagOverride("host"), TagOverride("source_app")))
    assert set(found.client.metrics) == {*others, of_client}
    assert set(found.server.metrics) == {*others, of_server}


def test_what_holds_for_all_figures_is_one_word() -> None:
    all_ = "{metrics: [{overrides: [{match: {metric: ALL_METRICS}, tagOverrides: {host: {value: request.host}}}]}]}"
    assert told(resource(all_)).client.metrics == (MetricOverride("", tags=(TagOverride("host", "request.host"),)),)
    elsewhere = "{metrics: [{providers: [{name: records}], overrides: [{disabled: true}]}]}"
    assert told(config(PROVIDERS), resource(elsewhere)).client.metrics == ()


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ([resource("{accessLogging: [{providers: [{name: nobody}]}]}")], "MeshConfig has no extension provider nobody"),
        ([resource("{accessLogging: [{providers: [{name: prometheus}]}]}")], "prometheus takes no logs of calls"),
        ([resource("{tracing: [{providers: [{name: envoy}]}]}")], "envoy takes no spans"),
        ([resource("{metrics: [{providers: [{name: envoy}]}]}")], "envoy keeps no figures"),
        (
            [config(PROVIDERS), resource("{accessLogging: [{providers: [{name: lost}]}]}")],
            "lost can't be reached: the mesh has no service",
        ),
        ([resource("{accessLogging: [{}]}")], "nothing is logged"),
        (
            [resource(f"{{selector: {{matchLabels: {{tier: back}}}}, {LOG}}}")],
            "no workload of the namespace default has",
        ),
        ([resource(f"{{{LOG}}}", created=2.0), resource("{}", "older", created=1.0)], "Telemetry default/older, older"),
        (
            [
                resource(f"{{selector: {{matchLabels: {{tier: front}}}}, {LOG}}}", created=2.0),
                resource("{selector: {matchLabels: {app: web}}}", "older", created=1.0),
            ],
            "Telemetry default/older, older, is for the workload web-1 too",
        ),
    ],
)
def test_what_does_nothing_is_found(resources: list[Resource], expected: str) -> None:
    assert any(expected in one.message for one in analyse(mesh(*resources)) if one.ref.name == "it")


def test_what_works_is_not_found() -> None:
    good = resource("{selector: {matchLabels: {tier: front}}, tracing: [{providers: [{name: spans}]}], " + LOG + "}")
    assert analyse(mesh(config(PROVIDERS), good)) == ()
