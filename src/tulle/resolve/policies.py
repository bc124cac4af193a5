"""DestinationRules to a backend's policy: what a user says, completed as Istio documents it, on tulle's own defaults.

Which of the words hold is decided in `traffic_policies`, where endpoints are and in which order they are used in `localities`.
Documents are validated: what can't be read here is nobody's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tulle.ir.policies import OriginateTls, Outliers, Policy, RetryBudget
from tulle.model.durations import nanoseconds
from tulle.model.resources.destination_rule import (
    ClientTLSSettings,
    LocalityLoadBalancerSetting,
    OutlierDetection,
    ProxyProtocolVersion,
    TLSMode,
    TrafficPolicy,
    TunnelSettings,
)
from tulle.model.resources.destination_rule import RetryBudget as RetryBudgetSettings
from tulle.model.resources.mesh_config import MeshConfig
from tulle.model.resources.resource import Resource
from tulle.resolve.connection_pools import connection_pool
from tulle.resolve.load_balancers import load_balancing
from tulle.resolve.traffic_policies import named_subset, traffic_policy

_SECOND = 1_000_000_000
# Envoy's, of max_ejection_time; never less than the base is.
_LONGEST_EJECTION = 300 * _SECOND


def policy(rules: Sequence[Resource], port: int, subset: str, mesh_defaults: MeshConfig | None) -> Policy:
    """How a port of a host, or of one of its subsets, is used. rules: those that apply, the one that wins first."""
    said = traffic_policy(rules, port, subset, mesh_defaults)
    setting, failover = _locality_setting(said, mesh_defaults)
    weighted = setting is not None and bool(
        setting.distribute or (failover and (setting.failover or setting.failover_priority))
    )
    refresh = mesh_defaults.dns_refresh_rate if mesh_defaults else None
    tls = said.tls
    return Policy(
        balancing=load_balancing(said.load_balancer, weighted),
        pool=connection_pool(said.connection_pool, mesh_defaults),
        outliers=_outliers(said.outlier_detection),
        tls=_tls(tls) if tls and tls.mode is not TLSMode.DISABLE else None,
        plaintext=tls is not None and tls.mode is TLSMode.DISABLE,
        proxy_protocol=_proxy_protocol(said),
        retry_budget=_retry_budget(said.retry_budget),
        tunnel=_tunnel(said.tunnel),
        dns_refresh=nanoseconds(refresh) if refresh else None,
        source=tuple(str(rule.ref) for rule in rules),
    )


def subset_labels(rules: Sequence[Resource], subset: str) -> Mapping[str, str] | None:
    """What instances of a subset carry; None if no rule names such a subset."""
    found = named_subset(rules, subset)
    return None if found is None else found.labels


def locality_setting(
    rules: Sequence[Resource], port: int, subset: str, mesh_defaults: MeshConfig | None
) -> tuple[LocalityLoadBalancerSetting | None, bool]:
    """How localities count, None if they don't, and whether one stands in for another: for `localities`.

    One stands in for another only where a user, or the mesh's defaultTrafficPolicy, asks for outlier detection, as in Istio:
    tulle's own is on without being asked, and a mesh that only names its localities balances over all of them.
    """
    return _locality_setting(traffic_policy(rules, port, subset, mesh_defaults), mesh_defaults)


def _locality_setting(said: TrafficPolicy, mesh: MeshConfig | None) -> tuple[LocalityLoadBalancerSetting | None, bool]:
    setting = said.load_balancer.locality_lb_setting if said.load_balancer else None
    if setting is None:
        setting = (mesh.locality_lb_setting if mesh else None) or LocalityLoadBalancerSetting()
    return (None if setting.enabled is False else setting), said.outlier_detection is not None


def _outliers(said: OutlierDetection | None) -> Outliers:
    """Nothing said: tulle's own. Something said: Istio's and Envoy's defaults for the rest of it.

    Source: Istio, OutlierDetection; Envoy, OutlierDetection.
    """
    if said is None:
        return Outliers()
    consecutive = said.consecutive_5xx_errors
    if consecutive is None:
        consecutive = said.consecutive_errors or 5
    base = nanoseconds(said.base_ejection_time) if said.base_ejection_time else None
    interval = nanoseconds(said.interval) if said.interval else None
    base = 30 * _SECOND if base is None else base
    split = said.split_external_local_origin_errors
    return Outliers(
        consecutive_5xx=consecutive,
        consecutive_gateway=said.consecutive_gateway_errors or 0,
        consecutive_local=(said.consecutive_local_origin_failures or 5) if split else 0,
        split_local=split,
        interval=10 * _SECOND if interval is None else interval,
        base_ejection=base,
        max_ejection=max(base, _LONGEST_EJECTION),
        max_ejection_percent=said.max_ejection_percent or 10,
        # Of few instances 10% is none, and the examples in Istio's tasks are of few.
        at_least_one=True,
        min_health_percent=said.min_health_percent,
        codes=tuple(sorted(set(said.outlier_detection_http_error_codes))),
    )


def _tls(said: ClientTLSSettings) -> OriginateTls:
    mutual = said.mode is TLSMode.MUTUAL
    return OriginateTls(
        certificate=said.client_certificate if mutual else "",
        key=said.private_key if mutual else "",
        ca="" if said.ca_certificates == "system" else said.ca_certificates,
        crl=said.ca_crl,
        names=said.subject_alt_names,
        sni=said.sni,
        verify=not said.insecure_skip_verify,
        mesh=said.mode is TLSMode.ISTIO_MUTUAL,
    )


def _proxy_protocol(said: TrafficPolicy) -> int:
    if said.proxy_protocol is None:
        return 0
    return 1 if said.proxy_protocol.version is ProxyProtocolVersion.V1 else 2


def _retry_budget(said: RetryBudgetSettings | None) -> RetryBudget | None:
    if said is None:
        return None
    interval = nanoseconds(said.budget_interval) if said.budget_interval else None
    percent = 20.0 if said.percent is None else said.percent
    return RetryBudget(percent, said.min_retry_concurrency or 3, interval or None)


def _tunnel(said: TunnelSettings | None) -> tuple[str, str] | None:
    return None if said is None else (said.protocol or "CONNECT", f"{said.target_host}:{said.target_port}")
