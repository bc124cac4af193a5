"""MeshConfig's providers of telemetry, and `defaultConfig`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tulle.model.resources import telemetry_providers as tp

_SERVICE = "The collector: HOST or NAMESPACE/HOST, a service of the mesh or a host of a ServiceEntry."
_KIND = "Spans to such a server."
_START = "How the sidecar is started."
_TIMEOUT = "How long one delivery may take. Default: 5s."

FIELDS: Mapping[type[Any], Mapping[str, str]] = {
    tp.EnvoyFileAccessLogProvider: {
        "path": "The file, absolute; `/dev/stdout` (default) for the output of `tulle run`.",
        "logFormat": "Its lines. Default: Istio's text, and the trace's id.",
        "omitEmptyValues": "Whether what has no value is left out. Default: it is `-`, or null in JSON.",
    },
    tp.FileLogFormat: {
        "text": "A line in Envoy's format, such as `%START_TIME% %RESPONSE_CODE%`.",
        "labels": "JSON: names of fields, and a text in Envoy's format for each. `{}`: Istio's, and the trace's id.",
    },
    tp.EnvoyOtelLogProvider: {
        "service": _SERVICE,
        "port": "Its port, which must carry gRPC.",
        "logName": "The log's name there. Default: otel_envoy_accesslog.",
        "logFormat": "What a record has. Default: Istio's text as its body.",
    },
    tp.OtelLogFormat: {
        "text": "The body, in Envoy's format.",
        "labels": "Attributes: names, and a text in Envoy's format for each.",
    },
    tp.HttpService: {
        "path": "The path to which it is sent, such as `/v1/traces`.",
        "timeout": _TIMEOUT,
        "headers": "Headers to send.",
    },
    tp.GrpcService: {"timeout": _TIMEOUT, "initialMetadata": "Headers to send."},
    tp.OpenTelemetryProvider: {
        "service": _SERVICE,
        "port": "Its port: 4318 for HTTP, 4317 for gRPC as a rule.",
        "maxTagLength": "The longest path that a span tells, in characters. Default: 256.",
        "http": "That spans go by HTTP, and to which path. Default: by gRPC.",
        "grpc": "How they go by gRPC.",
        "resourceDetectors": "What else spans tell of their origin.",
        "serviceAttributeEnrichment": "What spans call their service.",
        "dynatraceSampler": "That Dynatrace decides on sampling.",
    },
    tp.PrometheusProvider: {},
    tp.DefaultProviders: {
        "tracing": "Where spans go; the first counts. Default: the mesh's own store.",
        "metrics": "Only `prometheus`, which is always there.",
        "accessLogging": "Where calls are logged. Default: nowhere, unless `accessLogFile` says so.",
    },
    tp.ProxyCustomTag: {
        "literal": "A text.",
        "environment": "A variable of the environment of `tulle run`.",
        "header": "A header of the request.",
    },
    tp.ProxyTracing: {
        "zipkin": _KIND,
        "lightstep": _KIND,
        "datadog": _KIND,
        "stackdriver": _KIND,
        "openCensusAgent": _KIND,
        "customTags": "Further tags of spans, by name; a Telemetry's take their place.",
        "maxPathTagLength": "The longest path that a span tells, in characters. Default: 256.",
        "sampling": "How many of the traces that begin here are kept, 0 to 100. Default: 1.",
        "tlsSettings": "TLS to that server.",
        "enableIstioTags": "Whether spans have Istio's own tags. Default: true.",
    },
    tp.ProxyConfig: {
        **dict.fromkeys(tp.ProxyConfig.__struct_encode_fields__, _START),
        "tracing": "What spans tell, where no Telemetry says otherwise.",
    },
}
