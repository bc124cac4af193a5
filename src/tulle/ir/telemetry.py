"""What is told of the calls that go through one side of a sidecar: figures, access logs, spans."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Reporter(StrEnum):
    """Which sidecar of a call tells of it (Istio's label `reporter`)."""

    SOURCE = "source"
    DESTINATION = "destination"


class TagOverride(Struct, frozen=True, order=True):
    """expression: CEL, whose value the label gets; "" takes the label away."""

    tag: str
    expression: str = ""


class MetricOverride(Struct, frozen=True, order=True):
    """metric: of Istio's names, `istio_requests_total`; "" for all. Of several that fit, the last word on each label counts."""

    metric: str = ""
    is_disabled: bool = False
    tags: tuple[TagOverride, ...] = ()


class LogEncoding(StrEnum):
    TEXT = "text"
    JSON = "json"


class AccessLog(Struct, frozen=True):
    """One place to which calls are logged.

    path: a file, `/dev/stdout` for the agent's own output; "" for none. otlp: the cluster of an OpenTelemetry collector; "" for
    none. fields: of JSON, as (name, Envoy's format); text: a line of Envoy's format. filter: CEL; "" for every call.
    source: the document that asked for it.
    """

    path: str = "/dev/stdout"
    encoding: LogEncoding = LogEncoding.TEXT
    text: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    filter: str = ""
    otlp: str = ""
    source: str = ""


class TagKind(StrEnum):
    LITERAL = "literal"
    ENVIRONMENT = "environment"
    HEADER = "header"
    FORMATTER = "formatter"


class SpanTag(Struct, frozen=True, order=True):
    """value: the text itself, or the name of a variable or header, or Envoy's format. default: where there is none."""

    name: str
    kind: TagKind
    value: str
    default: str = ""


class Tracing(Struct, frozen=True):
    """sampling: percent of the traces that begin here; those that callers have begun go on as these have decided.

    collector: the cluster of an OTLP collector; "" for the mesh's own. reports: whether spans are told at all.
    propagates: whether the trace's context is passed on.
    """

    sampling: float = 1.0
    tags: tuple[SpanTag, ...] = ()
    collector: str = ""
    reports: bool = True
    propagates: bool = True
    istio_tags: bool = True


class Telemetry(Struct, frozen=True):
    """One side's. tracing: None: no spans. service: what the workload is called in spans: `web.default`."""

    metrics: tuple[MetricOverride, ...] = ()
    logs: tuple[AccessLog, ...] = ()
    tracing: Tracing | None = Tracing()
    service: str = ""


DEFAULT = Telemetry()
