"""Telemetry. Source: istio.io, Reference, Telemetry."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from tulle.model.resources.common import Message
from tulle.model.resources.policy_targets import PolicySelector, PolicyTargetReference


class WorkloadMode(StrEnum):
    CLIENT_AND_SERVER = "CLIENT_AND_SERVER"
    CLIENT = "CLIENT"
    SERVER = "SERVER"


class ProviderRef(Message, frozen=True):
    """One of MeshConfig's `extensionProviders`, or one that is always there (`envoy`, `prometheus`, `tulle`)."""

    name: str = ""


class TracingSelector(Message, frozen=True):
    mode: WorkloadMode = WorkloadMode.CLIENT_AND_SERVER


class Literal(Message, frozen=True):
    value: str = ""


class Environment(Message, frozen=True):
    name: str = ""
    default_value: str = ""


class RequestHeader(Message, frozen=True):
    name: str = ""
    default_value: str = ""


class Formatter(Message, frozen=True):
    value: str = ""


class CustomTag(Message, frozen=True):
    literal: Literal | None = None
    environment: Environment | None = None
    header: RequestHeader | None = None
    formatter: Formatter | None = None


class Tracing(Message, frozen=True):
    match: TracingSelector | None = None
    providers: tuple[ProviderRef, ...] = ()
    random_sampling_percentage: float | None = None
    disable_span_reporting: bool | None = None
    custom_tags: Mapping[str, CustomTag] = {}
    use_request_id_for_trace_sampling: bool | None = None
    enable_istio_tags: bool | None = None
    disable_context_propagation: bool | None = None


class IstioMetric(StrEnum):
    ALL_METRICS = "ALL_METRICS"
    REQUEST_COUNT = "REQUEST_COUNT"
    REQUEST_DURATION = "REQUEST_DURATION"
    REQUEST_SIZE = "REQUEST_SIZE"
    RESPONSE_SIZE = "RESPONSE_SIZE"
    TCP_OPENED_CONNECTIONS = "TCP_OPENED_CONNECTIONS"
    TCP_CLOSED_CONNECTIONS = "TCP_CLOSED_CONNECTIONS"
    TCP_SENT_BYTES = "TCP_SENT_BYTES"
    TCP_RECEIVED_BYTES = "TCP_RECEIVED_BYTES"
    GRPC_REQUEST_MESSAGES = "GRPC_REQUEST_MESSAGES"
    GRPC_RESPONSE_MESSAGES = "GRPC_RESPONSE_MESSAGES"


class MetricSelector(Message, frozen=True):
    metric: IstioMetric | None = None
    custom_metric: str | None = None
    mode: WorkloadMode = WorkloadMode.CLIENT_AND_SERVER


class TagOperation(StrEnum):
    UPSERT = "UPSERT"
    REMOVE = "REMOVE"


class TagOverride(Message, frozen=True):
    operation: TagOperation = TagOperation.UPSERT
    value: str = ""


class MetricsOverrides(Message, frozen=True):
    match: MetricSelector | None = None
    disabled: bool | None = None
    tag_overrides: Mapping[str, TagOverride] = {}


class Metrics(Message, frozen=True):
    providers: tuple[ProviderRef, ...] = ()
    overrides: tuple[MetricsOverrides, ...] = ()
    reporting_interval: str | None = None


class LogSelector(Message, frozen=True):
    mode: WorkloadMode = WorkloadMode.CLIENT_AND_SERVER


class LogFilter(Message, frozen=True):
    """AccessLogging.Filter. expression: CEL."""

    expression: str = ""


class AccessLogging(Message, frozen=True):
    match: LogSelector | None = None
    providers: tuple[ProviderRef, ...] = ()
    disabled: bool | None = None
    filter: LogFilter | None = None


class Telemetry(Message, frozen=True):
    selector: PolicySelector | None = None
    target_ref: PolicyTargetReference | None = None
    target_refs: tuple[PolicyTargetReference, ...] = ()
    tracing: tuple[Tracing, ...] = ()
    metrics: tuple[Metrics, ...] = ()
    access_logging: tuple[AccessLogging, ...] = ()
