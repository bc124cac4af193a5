"""Telemetry, and what MeshConfig says of telemetry: each rule, with a document that keeps it and one that breaks it."""

from __future__ import annotations

from typing import Any

import pytest

from tulle.model.resources.mesh_config import MeshConfig
from tulle.model.resources.telemetry import Telemetry
from tulle.sources.validation import mesh_config, telemetry

SOUND = {
    "nothing said": "{}",
    "some workloads": "{selector: {matchLabels: {app: web}}, accessLogging: [{providers: [{name: envoy}]}]}",
    "a service": "{targetRefs: [{kind: Service, name: web}], tracing: [{randomSamplingPercentage: 100}]}",
    "all of tracing": "{tracing: [{match: {mode: CLIENT}, randomSamplingPercentage: 0.5, disableSpanReporting: false, "
    "enableIstioTags: true, disableContextPropagation: true, customTags: {a: {literal: {value: x}}, "
    "b: {environment: {name: HOME, defaultValue: /}}, c: {header: {name: x-user}}, d: {formatter: {value: '%REQ(:PATH)%'}}}}]}",
    "all of metrics": "{metrics: [{providers: [{name: prometheus}], overrides: [{match: {metric: REQUEST_COUNT, mode: SERVER}, "
    "disabled: false, tagOverrides: {host: {value: request.host}, source_app: {operation: REMOVE}}}, {match: {}}]}]}",
    "a filter": "{accessLogging: [{filter: {expression: 'response.code >= 400 || has(request.headers[\"x\"].y)'}}]}",
}
FAULTY = {
    "two ways to select": (
        "{selector: {matchLabels: {app: web}}, targetRef: {kind: Service, name: web}}",
        ".targetRef",
    ),
    "a provider without a name": ("{accessLogging: [{providers: [{}]}]}", ".accessLogging[0].providers[0].name"),
    "too much": ("{tracing: [{randomSamplingPercentage: 101}]}", ".tracing[0].randomSamplingPercentage"),
    "too little": ("{tracing: [{randomSamplingPercentage: -1}]}", ".tracing[0].randomSamplingPercentage"),
    "an empty literal": ("{tracing: [{customTags: {a: {literal: {}}}}]}", ".tracing[0].customTags.a.literal.value"),
    "an empty header": ("{tracing: [{customTags: {a: {header: {}}}}]}", ".tracing[0].customTags.a.header.name"),
    "no variable": ("{tracing: [{customTags: {a: {environment: {}}}}]}", ".tracing[0].customTags.a.environment.name"),
    "no format": ("{tracing: [{customTags: {a: {formatter: {}}}}]}", ".tracing[0].customTags.a.formatter.value"),
    "two values": (
        "{tracing: [{customTags: {a: {literal: {value: x}, header: {name: y}}}}]}",
        ".tracing[0].customTags.a.header",
    ),
    "no value": (
        "{metrics: [{overrides: [{tagOverrides: {a: {}}}]}]}",
        ".metrics[0].overrides[0].tagOverrides.a.value",
    ),
    "a value of what goes": (
        "{metrics: [{overrides: [{tagOverrides: {a: {operation: REMOVE, value: x}}}]}]}",
        ".metrics[0].overrides[0].tagOverrides.a.value",
    ),
    "no metric": (
        "{metrics: [{overrides: [{match: {customMetric: ''}}]}]}",
        ".metrics[0].overrides[0].match.customMetric",
    ),
    "two metrics": (
        "{metrics: [{overrides: [{match: {metric: REQUEST_COUNT, customMetric: ''}}]}]}",
        ".metrics[0].overrides[0].match.customMetric",
    ),
    "no expression": ("{accessLogging: [{filter: {expression: 'a ='}}]}", ".accessLogging[0].filter.expression"),
}
LACKING = {
    "the request's id": (
        "{tracing: [{useRequestIdForTraceSampling: false}]}",
        ".tracing[0].useRequestIdForTraceSampling",
    ),
    "an interval": ("{metrics: [{reportingInterval: 5s}]}", ".metrics[0].reportingInterval"),
    "a figure of one's own": (
        "{metrics: [{overrides: [{match: {customMetric: mine}}]}]}",
        ".metrics[0].overrides[0].match.customMetric",
    ),
    "no label": (
        "{metrics: [{overrides: [{tagOverrides: {a-b: {value: '1'}}}]}]}",
        ".metrics[0].overrides[0].tagOverrides.a-b",
    ),
    "a tag of nothing": ("{tracing: [{customTags: {a: {}}}]}", ".tracing[0].customTags.a"),
    "no function of Envoy's": (
        "{accessLogging: [{filter: {expression: 'string(response.code) == \"200\"'}}]}",
        ".accessLogging[0].filter.expression",
    ),
    "no attribute": (
        "{accessLogging: [{filter: {expression: 'res.code == 1'}}]}",
        ".accessLogging[0].filter.expression",
    ),
    "an empty filter": ("{accessLogging: [{filter: {}}]}", ".accessLogging[0].filter.expression"),
    "no command": (
        "{tracing: [{customTags: {a: {formatter: {value: '%NOPE%'}}}}]}",
        ".tracing[0].customTags.a.formatter.value",
    ),
}


@pytest.mark.parametrize("text", SOUND.values(), ids=SOUND)
def test_a_telemetry_that_istio_takes_has_no_problem(judge: Any, text: str) -> None:
    assert judge(telemetry.check, Telemetry, text).problems == []


@pytest.mark.parametrize(("text", "path"), FAULTY.values(), ids=FAULTY)
def test_a_telemetry_that_istio_refuses_is_wrong_at_its_field(judge: Any, text: str, path: str) -> None:
    assert list(judge(telemetry.check, Telemetry, text).errors) == [f"spec{path}"]


@pytest.mark.parametrize(("text", "path"), LACKING.values(), ids=LACKING)
def test_what_would_do_nothing_here_is_refused_at_its_field(judge: Any, text: str, path: str) -> None:
    verdict = judge(telemetry.check, Telemetry, text)
    assert (list(verdict.unsupported), verdict.errors) == ([f"spec{path}"], {})


FILE = "extensionProviders: [{{name: f, envoyFileAccessLog: {}}}]"
SPANS = "extensionProviders: [{{name: s, opentelemetry: {{service: otel.default.svc.cluster.local, port: 4318, {}}}}}]"


@pytest.mark.parametrize(
    "text",
    [
        "{accessLogFile: /dev/stdout, accessLogFormat: '%START_TIME(%s)% %REQ(:PATH):10%', accessLogEncoding: TEXT}",
        '{accessLogFile: /var/log/calls.log, accessLogEncoding: JSON, accessLogFormat: \'{"code": "%RESPONSE_CODE%"}\'}',
        f"{{{FILE.format('{}')}}}",
        f"{{{FILE.format('{path: /tmp/x, logFormat: {labels: {}}, omitEmptyValues: true}')}}}",
        f"{{{SPANS.format('http: {path: /v1/traces, timeout: 1s}, maxTagLength: 100')}}}",
        f"{{{SPANS.format('grpc: {timeout: 1s}')}}}",
        "{defaultProviders: {tracing: [a], metrics: [prometheus], accessLogging: [envoy]}, enableTracing: false}",
        "{defaultConfig: {tracing: {sampling: 10, maxPathTagLength: 99, customTags: {a: {header: {name: ':authority'}}}}}}",
        "{extensionProviders: [{name: p, prometheus: {}}]}",
    ],
)
def test_a_mesh_config_may_say_where_calls_are_told(judge: Any, text: str) -> None:
    assert judge(mesh_config.check, MeshConfig, text).problems == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("{accessLogFile: calls.log}", ".accessLogFile"),
        ("{accessLogFile: /dev/sda}", ".accessLogFile"),
        ("{accessLogFile: /proc/self/mem}", ".accessLogFile"),
        ("{accessLogFile: /tmp/../etc/x}", ".accessLogFile"),
        ("{accessLogFile: /tmp/}", ".accessLogFile"),
        ("{accessLogFormat: '100%'}", ".accessLogFormat"),
        ("{accessLogEncoding: JSON, accessLogFormat: '%PROTOCOL%'}", ".accessLogFormat"),
        ("{accessLogEncoding: JSON, accessLogFormat: '[1]'}", ".accessLogFormat"),
        ('{accessLogEncoding: JSON, accessLogFormat: \'{"a": "%NOPE%"}\'}', ".accessLogFormat"),
        (
            "{extensionProviders: [{name: f, envoyFileAccessLog: {logFormat: {labels: {a: '%NOPE%'}}}}]}",
            ".extensionProviders[0].envoyFileAccessLog.logFormat.labels.a",
        ),
        (f"{{{SPANS.format('http: {path: v1}')}}}", ".extensionProviders[0].opentelemetry.http.path"),
        (
            f"{{{SPANS.format('http: {path: /, headers: [{name: a}]}')}}}",
            ".extensionProviders[0].opentelemetry.http.headers",
        ),
        ("{extensionProviders: [{name: z, zipkin: {}}]}", ".extensionProviders[0].zipkin"),
        (
            "{extensionProviders: [{name: o, envoyOtelAls: {service: a.b, port: 0}}]}",
            ".extensionProviders[0].envoyOtelAls.port",
        ),
        ("{defaultConfig: {concurrency: 2}}", ".defaultConfig.concurrency"),
        ("{defaultConfig: {tracing: {zipkin: {address: a}}}}", ".defaultConfig.tracing.zipkin"),
    ],
)
def test_a_mesh_config_that_asks_for_more_is_refused_at_its_field(judge: Any, text: str, path: str) -> None:
    verdict = judge(mesh_config.check, MeshConfig, text)
    assert (list(verdict.unsupported), verdict.errors) == ([f"spec{path}"], {})
