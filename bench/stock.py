"""The bare pair with what Envoy itself has for telling of calls and nothing of tulle's.

No configuration gets below that: OpenTelemetry's tracer, ids, the figures of each request with one tag that never varies (so
without whose they are, of which status and route), and one access rule.
"""

from __future__ import annotations

from bench.envoys import Json
from tulle.translate import names

_ENVOY = "type.googleapis.com/envoy"
_EXTENSIONS = f"{_ENVOY}.extensions"
WHAT = "with Envoy's own parts alone: ids, tracer at 1 %, figures that tell nothing apart, one access rule"
_HISTOGRAMS = {
    "request_duration_milliseconds": "%DURATION%",
    "request_bytes": "%DOWNSTREAM_WIRE_BYTES_RECEIVED%",
    "response_bytes": "%DOWNSTREAM_WIRE_BYTES_SENT%",
}


def telling(listener: Json, allowed: str) -> Json:
    """A listener of the bare pair, which tells. allowed: the only caller's SPIFFE ID; none at the caller's own."""
    [chain] = listener["filter_chains"]
    [named] = chain["filters"]
    manager = named["typed_config"]
    told = {
        **manager,
        "generate_request_id": True,
        "tracing": {"provider": {"name": "envoy.tracers.opentelemetry", "typed_config": _tracer()}},
        "request_id_extension": {"typed_config": _ids()},
        "access_log": [{"name": "figures", "typed_config": _figures()}],
        "http_filters": [*([_rule(allowed)] if allowed else []), *manager["http_filters"]],
    }
    return {**listener, "filter_chains": [{**chain, "filters": [{**named, "typed_config": told}]}]}


def _ids() -> Json:
    return {
        "@type": f"{_EXTENSIONS}.request_id.uuid.v3.UuidRequestIdConfig",
        "pack_trace_reason": False,
        "use_request_id_for_trace_sampling": False,
    }


def _tracer() -> Json:
    samplers = f"{_EXTENSIONS}.tracers.opentelemetry.samplers.v3"
    share = {
        "@type": f"{samplers}.TraceIdRatioBasedSamplerConfig",
        "sampling_percentage": {"numerator": 1, "denominator": "HUNDRED"},
    }
    name = "envoy.tracers.opentelemetry.samplers"
    parent = {
        "@type": f"{samplers}.ParentBasedSamplerConfig",
        "wrapped_sampler": {"name": f"{name}.trace_id_ratio_based", "typed_config": share},
    }
    uri = {"uri": "http://agent/v1/traces", "cluster": names.AGENT, "timeout": "5s"}
    return {
        "@type": f"{_ENVOY}.config.trace.v3.OpenTelemetryConfig",
        "http_service": {"http_uri": uri},
        "sampler": {"name": f"{name}.parent_based", "typed_config": parent},
    }


def _figures() -> Json:
    tags = [{"name": "call", "value_format": "all"}]
    return {
        "@type": f"{_EXTENSIONS}.access_loggers.stats.v3.Config",
        "stats_scope": {"prefix": "istio"},
        "counters": [{"stat": {"name": "requests_total", "tags": tags}, "value_fixed": 1}],
        "histograms": [
            {"stat": {"name": name, "tags": tags}, "value_format": value} for name, value in _HISTOGRAMS.items()
        ],
    }


def _rule(allowed: str) -> Json:
    permission = {"header": {"name": ":method", "string_match": {"exact": "GET"}}}
    principal = {"authenticated": {"principal_name": {"exact": allowed}}}
    rules = {"action": "ALLOW", "policies": {"one": {"permissions": [permission], "principals": [principal]}}}
    return {
        "name": "envoy.filters.http.rbac",
        "typed_config": {"@type": f"{_EXTENSIONS}.filters.http.rbac.v3.RBAC", "rules": rules},
    }
