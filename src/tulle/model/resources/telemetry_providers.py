"""What MeshConfig says of telemetry: providers, and `defaultConfig.tracing`. Source: istio.io, Reference, Global Mesh Options.

Fields of type Any are Istio's and not tulle's: a document that sets one is refused as unsupported.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from tulle.model.resources.common import Message, Uint32
from tulle.model.resources.telemetry import Environment, Literal, RequestHeader


class AccessLogEncoding(StrEnum):
    TEXT = "TEXT"
    JSON = "JSON"


class FileLogFormat(Message, frozen=True):
    """labels: JSON, by the names of its fields."""

    text: str | None = None
    labels: Mapping[str, str] | None = None


class EnvoyFileAccessLogProvider(Message, frozen=True):
    path: str = ""
    log_format: FileLogFormat | None = None
    omit_empty_values: bool = False


class OtelLogFormat(Message, frozen=True):
    text: str = ""
    labels: Mapping[str, str] | None = None


class EnvoyOtelLogProvider(Message, frozen=True):
    service: str = ""
    port: Uint32 = 0
    log_name: str = ""
    log_format: OtelLogFormat | None = None


class HttpService(Message, frozen=True):
    path: str = ""
    timeout: str | None = None
    headers: Any = None


class GrpcService(Message, frozen=True):
    timeout: str | None = None
    initial_metadata: Any = None


class OpenTelemetryProvider(Message, frozen=True):
    service: str = ""
    port: Uint32 = 0
    max_tag_length: Uint32 = 0
    http: HttpService | None = None
    grpc: GrpcService | None = None
    resource_detectors: Any = None
    service_attribute_enrichment: Any = None
    dynatrace_sampler: Any = None


class PrometheusProvider(Message, frozen=True):
    """It has no settings."""


class DefaultProviders(Message, frozen=True):
    tracing: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    access_logging: tuple[str, ...] = ()


class ProxyCustomTag(Message, frozen=True):
    literal: Literal | None = None
    environment: Environment | None = None
    header: RequestHeader | None = None


class ProxyTracing(Message, frozen=True):
    """ProxyConfig's Tracing."""

    zipkin: Any = None
    lightstep: Any = None
    datadog: Any = None
    stackdriver: Any = None
    open_census_agent: Any = None
    custom_tags: Mapping[str, ProxyCustomTag] = {}
    max_path_tag_length: Uint32 = 0
    sampling: float | None = None
    tls_settings: Any = None
    enable_istio_tags: bool | None = None


class ProxyConfig(Message, frozen=True):
    """How sidecars are started."""

    config_path: Any = None
    binary_path: Any = None
    service_cluster: Any = None
    tracing_service_name: Any = None
    drain_duration: Any = None
    discovery_address: Any = None
    discovery_refresh_delay: Any = None
    zipkin_address: Any = None
    statsd_udp_address: Any = None
    envoy_metrics_service_address: Any = None
    proxy_admin_port: Any = None
    availability_zone: Any = None
    control_plane_auth_policy: Any = None
    custom_config_file: Any = None
    stat_name_length: Any = None
    concurrency: Any = None
    proxy_bootstrap_template_path: Any = None
    interception_mode: Any = None
    tracing: ProxyTracing | None = None
    sds: Any = None
    envoy_access_log_service: Any = None
    envoy_metrics_service: Any = None
    proxy_metadata: Any = None
    runtime_values: Any = None
    status_port: Any = None
    extra_stat_tags: Any = None
    gateway_topology: Any = None
    termination_drain_duration: Any = None
    mesh_id: Any = None
    readiness_probe: Any = None
    proxy_stats_matcher: Any = None
    hold_application_until_proxy_starts: Any = None
    ca_certificates_pem: Any = None
    image: Any = None
    private_key_provider: Any = None
    proxy_headers: Any = None
    file_flush_interval: Any = None
    file_flush_min_size_kb: Any = None
    stats_compression: Any = None
    connection_settings: Any = None
