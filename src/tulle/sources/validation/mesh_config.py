"""MeshConfig. Source: Istio, pkg/config/validation/agent (ValidateMeshConfig).

Istio lays a document over its defaults before it looks, so what is not given is always right.
"""

from __future__ import annotations

from collections.abc import Sequence

from tulle.model.durations import nanoseconds
from tulle.model.resources.mesh_config import MeshConfig
from tulle.sources.at import At
from tulle.sources.validation import (
    connection_pool,
    extension_provider,
    locality,
    outlier_detection,
    telemetry_providers,
)
from tulle.sources.validation.amounts import check_loose_time, check_time
from tulle.sources.validation.basics import check_duration, is_dns_label

TRUST_DOMAIN = "cluster.local"
_MS, _HOUR = 10**6, 3600 * 10**9


def check(spec: MeshConfig, at: At) -> None:
    _check_trust_domains(spec, at)
    _check_times(spec, at)
    _check_namespaces(spec, at)
    if spec.enable_auto_mtls is False:
        at.field("enableAutoMtls").unsupported(
            "sidecars use mutual TLS with each other wherever no PeerAuthentication disables it: leave it out"
        )
    telemetry_providers.check_mesh(spec, at)
    extension_provider.check(spec.extension_providers, at.field("extensionProviders"))
    locality.check(spec.locality_lb_setting, at.field("localityLbSetting"), outlier=True)
    if spec.default_traffic_policy is not None:
        policy = at.field("defaultTrafficPolicy")
        connection_pool.check(spec.default_traffic_policy.connection_pool, policy.field("connectionPool"))
        outlier_detection.check(spec.default_traffic_policy.outlier_detection, policy.field("outlierDetection"))


def _check_trust_domains(spec: MeshConfig, at: At) -> None:
    place = at.field("trustDomain")
    if spec.trust_domain and not _is_trust_domain(spec.trust_domain):
        place.error(f"`{spec.trust_domain}` is no trust domain: write a DNS name, such as `{TRUST_DOMAIN}`")
    elif spec.trust_domain not in ("", TRUST_DOMAIN):
        place.unsupported(f"tulle's certificates are of `{TRUST_DOMAIN}`: use that, or leave it out")
    for index, alias in enumerate(spec.trust_domain_aliases):
        if not _is_trust_domain(alias):
            at.field("trustDomainAliases").item(index).error(f"`{alias}` is no trust domain: write a DNS name")


def _is_trust_domain(text: str) -> bool:
    labels = text.removesuffix(".").split(".")
    return all(map(is_dns_label, labels))


def _check_times(spec: MeshConfig, at: At) -> None:
    if (
        spec.connect_timeout is not None
        and (check_duration(spec.connect_timeout, at.field("connectTimeout")) or 0) > _HOUR
    ):
        at.field("connectTimeout").error(f"is {spec.connect_timeout}: use 1h at most")
    place, sniffing = at.field("protocolDetectionTimeout"), spec.protocol_detection_timeout
    length = nanoseconds(sniffing) if sniffing is not None else 0
    if length is None or length % _MS:
        check_time(sniffing, place, zero=True)
    elif length < 0:
        place.unsupported(f"`{sniffing}` can't be negative; 0s waits without end")
    if spec.tcp_keepalive is not None:
        check_loose_time(spec.tcp_keepalive.time, at.field("tcpKeepalive").field("time"))
        check_loose_time(spec.tcp_keepalive.interval, at.field("tcpKeepalive").field("interval"))
    check_loose_time(spec.dns_refresh_rate, at.field("dnsRefreshRate"))


def _check_namespaces(spec: MeshConfig, at: At) -> None:
    """Istio looks at none of them; a name that is none would match nothing."""
    if spec.root_namespace and not is_dns_label(spec.root_namespace):
        at.field("rootNamespace").warning(
            f"`{spec.root_namespace}` is no namespace's name, so there is no root namespace"
        )
    _check_exports(spec.default_service_export_to, at.field("defaultServiceExportTo"))
    _check_exports(spec.default_virtual_service_export_to, at.field("defaultVirtualServiceExportTo"))
    _check_exports(spec.default_destination_rule_export_to, at.field("defaultDestinationRuleExportTo"))


def _check_exports(entries: Sequence[str], at: At) -> None:
    for index, entry in enumerate(entries):
        if entry not in (".", "*", "~") and not is_dns_label(entry):
            at.item(index).warning(f"`{entry}` is no namespace's name: write `.`, `*`, `~` or a namespace")
