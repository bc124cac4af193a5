"""What is told of the calls that go through one side of a sidecar: figures, access logs, spans."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from tulle.ir.routes import BackendRef
from tulle.model.names import ServiceName


class Reporter(StrEnum):
    """Which sidecar of a call tells of it (Istio's label `reporter`)."""

    SOURCE = "source"
    DESTINATION = "destination"


class TagOverride(Struct, frozen=True, order=True):
    """tag: one of Istio's labels, or a new one. expression: CEL, whose value the label gets; "" takes the label away.

    Envoy counts with few tags, and the agent makes Istio's labels of them, so both have a part. Envoy gives each stat a tag
    `x_<label>` with the expression's value, and a tag `without` that names the labels taken away, with commas between. Where a
    label that is taken away is made of one tag alone, as `response_code` is, that tag is left out too, so that there
    are fewer series. The agent sets `<label>` to what `x_<label>` says, whatever it would have been, and leaves out those that
    `without` names, as well as `without` itself. What an expression makes of clients' text is not bounded but by the
    bound on all figures.
    """

    tag: str
    expression: str = ""


class MetricOverride(Struct, frozen=True, order=True):
    """metric: of Istio's names, `istio_requests_total`; "" for all. Of several that fit, the last word on each label counts, and
    the last one says whether Envoy counts the metric at all."""

    metric: str = ""
    is_disabled: bool = False
    tags: tuple[TagOverride, ...] = ()


class LogEncoding(StrEnum):
    TEXT = "text"
    JSON = "json"


class Collector(Struct, frozen=True):
    """Who takes logs or spans by OpenTelemetry's protocol (OTLP): a service, as the workload reaches it.

    service: None if no name is right. backend: None if it can't be reached; problem says why. path: where it takes them by
    HTTP; "" for gRPC. timeout: in nanoseconds, for one delivery.
    """

    service: ServiceName | None
    backend: BackendRef | None = None
    path: str = ""
    timeout: int = 5_000_000_000
    problem: str = ""


class AccessLog(Struct, frozen=True):
    """One place to which calls are logged: a file, or a collector.

    name: of the provider. path: of the file, `/dev/stdout` for the agent's own output; "" for none. text: a line of Envoy's
    format, or the body of a record. fields: of JSON, or a record's attributes, as (name, Envoy's format).
    filter: CEL; "" for every call. omit_empty: leaves out what has no value, in place of `-`.
    """

    name: str = ""
    path: str = "/dev/stdout"
    encoding: LogEncoding = LogEncoding.TEXT
    text: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    filter: str = ""
    omit_empty: bool = False
    otlp: Collector | None = None


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

    collector: None for the mesh's own. reports: whether spans are told at all. propagates: whether the trace's context is
    passed on. longest_path: of the path in a span, in characters; 0 for Envoy's default. b3: whether callers may say by B3
    headers, too, which trace it is.
    """

    sampling: float = 1.0
    tags: tuple[SpanTag, ...] = ()
    collector: Collector | None = None
    reports: bool = True
    propagates: bool = True
    istio_tags: bool = True
    longest_path: int = 0
    b3: bool = False


class Telemetry(Struct, frozen=True):
    """One side's. tracing: None: no spans. service: what the workload is called in spans: `web.default`."""

    metrics: tuple[MetricOverride, ...] = ()
    logs: tuple[AccessLog, ...] = ()
    tracing: Tracing | None = Tracing()
    service: str = ""

    @property
    def collectors(self) -> tuple[Collector, ...]:
        """All of which something is needed, each once."""
        of_spans = self.tracing.collector if self.tracing else None
        found = (*(log.otlp for log in self.logs), of_spans)
        return tuple(dict.fromkeys(one for one in found if one is not None))


DEFAULT = Telemetry()
