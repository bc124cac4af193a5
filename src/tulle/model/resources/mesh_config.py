"""MeshConfig, one for the mesh. Source: istio.io, Reference, Global Mesh Options.

Fields of type Any are Istio's and not tulle's: a document that sets one is refused as unsupported.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import field

from tulle.model.resources.common import Message, Uint32
from tulle.model.resources.destination_rule import (
    ConnectionPoolSettings,
    LocalityLoadBalancerSetting,
    OutlierDetection,
    TcpKeepalive,
)
from tulle.model.resources.telemetry_providers import (
    AccessLogEncoding,
    DefaultProviders,
    EnvoyFileAccessLogProvider,
    EnvoyOtelLogProvider,
    OpenTelemetryProvider,
    PrometheusProvider,
    ProxyConfig,
)
from tulle.model.resources.virtual_service import HTTPRetry


class MeshOutboundMode(StrEnum):
    REGISTRY_ONLY = "REGISTRY_ONLY"
    ALLOW_ANY = "ALLOW_ANY"
    ALLOW_ANY_DYNAMIC_DNS = "ALLOW_ANY_DYNAMIC_DNS"


class MeshOutboundTrafficPolicy(Message, frozen=True):
    mode: MeshOutboundMode = MeshOutboundMode.REGISTRY_ONLY
    tls: Any = None


class NormalizationType(StrEnum):
    DEFAULT = "DEFAULT"
    NONE = "NONE"
    BASE = "BASE"
    MERGE_SLASHES = "MERGE_SLASHES"
    DECODE_AND_MERGE_SLASHES = "DECODE_AND_MERGE_SLASHES"


class ProxyPathNormalization(Message, frozen=True):
    normalization: NormalizationType = NormalizationType.DEFAULT


class DefaultTrafficPolicy(Message, frozen=True):
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None


class RequestBodyInCheck(Message, frozen=True):
    max_request_bytes: Uint32 = 0
    allow_partial_message: bool = False
    pack_as_bytes: bool = False


class ExtAuthzHttpProvider(Message, frozen=True):
    service: str = ""
    port: Uint32 = 0
    timeout: str | None = None
    path_prefix: str = ""
    fail_open: bool = False
    clear_route_cache: bool = False
    status_on_error: str = ""
    include_headers_in_check: tuple[str, ...] = ()
    include_request_headers_in_check: tuple[str, ...] = ()
    include_additional_headers_in_check: Mapping[str, str] = {}
    include_request_body_in_check: RequestBodyInCheck | None = None
    headers_to_upstream_on_allow: tuple[str, ...] = ()
    headers_to_downstream_on_deny: tuple[str, ...] = ()
    headers_to_downstream_on_allow: tuple[str, ...] = ()


class ExtAuthzGrpcProvider(Message, frozen=True):
    service: str = ""
    port: Uint32 = 0
    timeout: str | None = None
    fail_open: bool = False
    clear_route_cache: bool = False
    status_on_error: str = ""
    include_request_body_in_check: RequestBodyInCheck | None = None


class ExtensionProvider(Message, frozen=True):
    """What policies name: CUSTOM authorization, telemetry."""

    name: str = ""
    envoy_ext_authz_http: ExtAuthzHttpProvider | None = None
    envoy_ext_authz_grpc: ExtAuthzGrpcProvider | None = None
    zipkin: Any = None
    lightstep: Any = None
    datadog: Any = None
    stackdriver: Any = None
    opencensus: Any = None
    skywalking: Any = None
    opentelemetry: OpenTelemetryProvider | None = None
    prometheus: PrometheusProvider | None = None
    envoy_file_access_log: EnvoyFileAccessLogProvider | None = None
    envoy_http_als: Any = None
    envoy_tcp_als: Any = None
    envoy_otel_als: EnvoyOtelLogProvider | None = None
    sds: Any = None


class MeshConfig(Message, frozen=True):
    outbound_traffic_policy: MeshOutboundTrafficPolicy | None = None
    path_normalization: ProxyPathNormalization | None = None
    extension_providers: tuple[ExtensionProvider, ...] = ()
    trust_domain: str = ""
    trust_domain_aliases: tuple[str, ...] = ()
    root_namespace: str = ""
    connect_timeout: str | None = None
    protocol_detection_timeout: str | None = None
    tcp_keepalive: TcpKeepalive | None = None
    dns_refresh_rate: str | None = None
    default_service_export_to: tuple[str, ...] = ()
    default_virtual_service_export_to: tuple[str, ...] = ()
    default_destination_rule_export_to: tuple[str, ...] = ()
    locality_lb_setting: LocalityLoadBalancerSetting | None = None
    default_http_retry_policy: HTTPRetry | None = None
    default_traffic_policy: DefaultTrafficPolicy | None = None
    proxy_listen_port: Any = None
    proxy_inbound_listen_port: Any = None
    proxy_http_port: Any = None
    hbone_idle_timeout: Any = None
    ingress_class: Any = None
    ingress_service: Any = None
    ingress_controller_mode: Any = None
    ingress_selector: Any = None
    enable_tracing: bool | None = None
    access_log_file: str = ""
    access_log_format: str = ""
    access_log_encoding: AccessLogEncoding = AccessLogEncoding.TEXT
    enable_envoy_access_log_service: Any = None
    disable_envoy_listener_log: Any = None
    default_config: ProxyConfig | None = None
    inbound_traffic_policy: Any = None
    config_sources: Any = None
    enable_auto_mtls: bool | None = None
    ca_certificates: Any = None
    zone_aware_lb_setting: Any = None
    h2_upgrade_policy: Any = None
    inbound_cluster_stat_name: Any = None
    outbound_cluster_stat_name: Any = None
    certificates: Any = None
    service_settings: Any = None
    service_scope_configs: Any = None
    enable_prometheus_merge: Any = None
    verify_certificate_at_client: Any = None
    ca: Any = None
    default_providers: DefaultProviders | None = None
    discovery_selectors: Any = None
    mesh_mtls: Any = field(default=None, name="meshMTLS")
    tls_defaults: Any = None
    service_entry_visibility: Any = None
