"""Telemetry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tulle.model.resources import telemetry as tl

ABOUT = (
    "What is told of the calls of workloads: access logs, figures, traces. The root namespace's is for the mesh, then the "
    "namespace's, then the oldest that selects the workload; each adds to those before, field by field."
)

_SELECTOR = "The workloads for which it is. Default: all of the namespace; in the root namespace, all of the mesh."
_MODE = "CLIENT: the workload's own calls. SERVER: calls to it. CLIENT_AND_SERVER (default): both."
_DEFAULT = "The value where there is none."

FIELDS: Mapping[type[Any], Mapping[str, str]] = {
    tl.Telemetry: {
        "selector": _SELECTOR,
        "targetRef": "A service for whose workloads it is. At most one of this, `targetRefs` and `selector`.",
        "targetRefs": "Several services, up to 16.",
        "tracing": "Which calls are traced, and what their spans tell.",
        "metrics": "Which figures are kept, and by which labels.",
        "accessLogging": "Which calls are logged, and where.",
    },
    tl.ProviderRef: {"name": "One of MeshConfig's extensionProviders, or `envoy`, `prometheus` or `tulle`."},
    tl.Tracing: {
        "match": "Of which calls. Default: all.",
        "providers": "Where spans go; the first counts. Default: the mesh's own store, `tulle`.",
        "randomSamplingPercentage": "How many of the traces that begin here are kept, 0 to 100. Default: 1.",
        "disableSpanReporting": "Whether no spans are told of these calls.",
        "customTags": "Further tags of spans, by name; these take the place of those of wider scopes.",
        "useRequestIdForTraceSampling": "Whether the request's id decides on sampling.",
        "enableIstioTags": "Whether spans have Istio's own tags. Default: true.",
        "disableContextPropagation": "Whether the headers of a trace are not passed on.",
    },
    tl.TracingSelector: {"mode": _MODE},
    tl.CustomTag: {
        "literal": "A text.",
        "environment": "A variable of the environment of `tulle run`.",
        "header": "A header of the request.",
        "formatter": "Envoy's format, as in access logs.",
    },
    tl.Literal: {"value": "The text."},
    tl.Environment: {"name": "The variable.", "defaultValue": _DEFAULT},
    tl.RequestHeader: {"name": "The header.", "defaultValue": _DEFAULT},
    tl.Formatter: {"value": "The format, such as `%REQ(USER-AGENT)%`."},
    tl.Metrics: {
        "providers": "Only `prometheus`, which is always there, and others of MeshConfig of that kind.",
        "overrides": "What differs from Istio's figures; of several that fit, the last word counts.",
        "reportingInterval": "How often figures are told.",
    },
    tl.MetricsOverrides: {
        "match": "Which figures. Default: all.",
        "disabled": "Whether they are not kept.",
        "tagOverrides": "What becomes of labels, by their names.",
    },
    tl.MetricSelector: {
        "metric": "One of Istio's. Default: all.",
        "customMetric": "One of the user's own.",
        "mode": _MODE,
    },
    tl.TagOverride: {
        "operation": "UPSERT (default): the label gets the value. REMOVE: there is no such label.",
        "value": "A CEL expression, such as `request.method`. Not for REMOVE.",
    },
    tl.AccessLogging: {
        "match": "Of which calls. Default: all.",
        "providers": "Where they are logged. Default: as the wider scope has it, or MeshConfig's defaultProviders.",
        "disabled": "Whether they are not logged there.",
        "filter": "Which of these calls are logged. Default: all.",
    },
    tl.LogSelector: {"mode": _MODE},
    tl.LogFilter: {"expression": "CEL over Envoy's attributes that must be true, such as `response.code >= 400`."},
}
