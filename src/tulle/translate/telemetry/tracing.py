"""Spans of calls, by OpenTelemetry, and the ids that requests have.

Every call is looked at, and a sampler decides: the caller's word holds where it has one (W3C `traceparent`), else a share of the
new traces is kept. Envoy's own `random_sampling` alone would not heed the caller. One sidecar makes one span of a call: of kind
CLIENT where it goes out and SERVER where it comes in.
Sources: Envoy, HttpConnectionManager.Tracing, OpenTelemetryConfig, UuidRequestIdConfig; Istio, `istio.*` tags of spans.
"""

from __future__ import annotations

from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.telemetry import Collector, Reporter, SpanTag, TagKind, Telemetry, Tracing
from tulle.model.calls import TOLD_MS
from tulle.model.spiffe import TRUST_DOMAIN
from tulle.translate import names
from tulle.translate.durations import duration

_TRACERS = "envoy.extensions.tracers.opentelemetry"
_NAME = "envoy.tracers.opentelemetry"
_PATH = "/v1/traces"
_EXPORT = {"seconds": 5}
_MILLION = 1_000_000
# What the agent puts into its Envoy's environment (agent/spans/identity.py).
CANONICAL_SERVICE, CANONICAL_REVISION, NAMESPACE = "MESH_SERVICE", "MESH_REVISION", "MESH_NAMESPACE"

RUNTIME = {"tracing.opentelemetry.flush_interval_ms": TOLD_MS, "tracing.opentelemetry.min_flush_spans": 200}
"""Envoy's own are 5 s and 5 spans: one is long for who waits for a trace, the other a request for every fifth call.

Its agent waits as long before it ends Envoy, which drops what it has not sent. In an idle one a timer of half a second costs no
more than one of a second; one of a quarter does.
"""


def tracing(reporter: Reporter, telemetry: Telemetry, port: str = "") -> dict[str, Any]:
    """`tracing` of an HTTP connection manager. port: as `http_observed`'s.

    Where no spans are told, what a caller says of its trace is passed on as it is.
    """
    of = telemetry.tracing
    if of is None or not of.reports:
        return {}
    provider = {"name": _NAME, "typed_config": pack(_tracer(of, telemetry.service))}
    return {
        "tracing": {
            "random_sampling": {"value": 100.0},
            "spawn_upstream_span": {"value": False},
            "no_context_propagation": not of.propagates,
            # Made when the call is over. Never of a path, which may have ids in it.
            "operation": f"%REQ(:METHOD)% {port}" if reporter is Reporter.DESTINATION else OUTBOUND_OPERATION,
            "custom_tags": [*_ROUTE_TAGS[reporter], *(ISTIO_TAGS if of.istio_tags else ()), *map(_tag, of.tags)],
            **({"max_path_tag_length": {"value": of.longest_path}} if of.longest_path else {}),
            "provider": provider,
        }
    }


OUTBOUND_OPERATION = "%REQ(:METHOD)% %UPSTREAM_CLUSTER%"
"""With a cluster's name at its end, of which the control plane makes a service's: telemetry/traces/otlp.py."""


def request_ids() -> dict[str, Any]:
    """Of an HTTP connection manager: every request has an id, its caller's if that gave one, and it is nothing but an id."""
    settings = message("envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig")(
        pack_trace_reason={"value": False}, use_request_id_for_trace_sampling={"value": False}
    )
    return {
        "generate_request_id": {"value": True},
        "preserve_external_request_id": True,
        "request_id_extension": {"typed_config": pack(settings)},
    }


def _tracer(of: Tracing, service: str) -> Any:
    return message("envoy.config.trace.v3.OpenTelemetryConfig")(
        **_exporter(of.collector),
        resource_detectors=[
            _extension("resource_detectors", "environment", "EnvironmentResourceDetectorConfig"),
            *([_extension("resource_detectors", "static_config", *_static(service))] if service else []),
        ],
        sampler=_extension("samplers", "parent_based", "ParentBasedSamplerConfig", wrapped_sampler=_share(of.sampling)),
    )


def _static(service: str) -> tuple[str, dict[str, Any]]:
    return "StaticConfigResourceDetectorConfig", {"attributes": {"service.name": service}}


def _share(percent: float) -> Any:
    share = {"numerator": round(min(max(percent, 0.0), 100.0) * _MILLION / 100), "denominator": "MILLION"}
    return _extension("samplers", "trace_id_ratio_based", "TraceIdRatioBasedSamplerConfig", sampling_percentage=share)


def _extension(
    kind: str, name: str, config: str, more: dict[str, Any] | None = None, **settings: Any
) -> dict[str, Any]:
    made = message(f"{_TRACERS}.{kind}.v3.{config}")(**(more or {}), **settings)
    return {"name": f"{_NAME}.{kind}.{name}", "typed_config": pack(made)}


def _exporter(collector: Collector | None) -> dict[str, Any]:
    if collector is not None and collector.backend is not None:
        cluster, timeout = names.backend(collector.backend), duration(collector.timeout)
        host = collector.backend.destination.service.host
        if not collector.path:
            # Envoy's own would be the cluster's name, for which the collector's sidecar ends the connection.
            return {"grpc_service": {"envoy_grpc": {"cluster_name": cluster, "authority": host}, "timeout": timeout}}
        uri = {"uri": f"http://{host}{collector.path}", "cluster": cluster, "timeout": timeout}
        return {"http_service": {"http_uri": uri}}
    uri = {"uri": f"http://{names.AGENT}{_PATH}", "cluster": names.AGENT, "timeout": _EXPORT}
    return {"http_service": {"http_uri": uri}}


_ROUTE_TAGS = {
    Reporter.SOURCE: [
        {"tag": "route", "value": "%ROUTE_NAME%"},
        {"tag": "attempts", "value": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"},
        {"tag": "peer.identity", "value": "%UPSTREAM_PEER_URI_SAN%"},
    ],
    Reporter.DESTINATION: [{"tag": "peer.identity", "value": "%DOWNSTREAM_PEER_URI_SAN%"}],
}

ISTIO_TAGS = [
    {"tag": "istio.canonical_service", "environment": {"name": CANONICAL_SERVICE, "default_value": "unknown"}},
    {"tag": "istio.canonical_revision", "environment": {"name": CANONICAL_REVISION, "default_value": "latest"}},
    {"tag": "istio.namespace", "environment": {"name": NAMESPACE, "default_value": "default"}},
    {"tag": "istio.mesh_id", "literal": {"value": TRUST_DOMAIN}},
    {"tag": "istio.cluster_id", "literal": {"value": "tulle"}},
]


def _tag(tag: SpanTag) -> dict[str, Any]:
    match tag.kind:
        case TagKind.LITERAL:
            return {"tag": tag.name, "literal": {"value": tag.value}}
        case TagKind.ENVIRONMENT:
            return {"tag": tag.name, "environment": {"name": tag.value, "default_value": tag.default}}
        case TagKind.HEADER:
            return {"tag": tag.name, "request_header": {"name": tag.value, "default_value": tag.default}}
        case TagKind.FORMATTER:
            return {"tag": tag.name, "value": tag.value}
