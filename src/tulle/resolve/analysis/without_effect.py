"""What a traffic policy asks for and a service of this mesh can't be given, as its instances have sidecars.

Between sidecars there is the mesh's mutual TLS and HTTP/2, whatever a rule says. Leaves to `sources.validation` what no
service could be given.
"""

from __future__ import annotations

from collections.abc import Iterator

from tulle.model.resources.destination_rule import (
    ConnectionPoolSettings,
    DestinationRule,
    H2UpgradePolicy,
    LoadBalancerSettings,
    PortTrafficPolicy,
    SimpleLB,
    TLSMode,
    TrafficPolicy,
)
from tulle.model.workload import Protocol
from tulle.resolve.analysis.findings import Findings
from tulle.resolve.mesh import Service

_OWN_TLS = (TLSMode.DISABLE, TLSMode.SIMPLE, TLSMode.MUTUAL)
_NOT_HTTP = (Protocol.TCP, Protocol.TLS)


def check_without_effect(at: Findings, service: Service, spec: DestinationRule) -> None:
    """Of a service of which no instance has a sidecar there is nothing to say."""
    if not service.instances:
        return
    for path, policy in _policies(spec):
        port = policy.port.number if isinstance(policy, PortTrafficPolicy) and policy.port else None
        _check_tls(at, service, path, policy)
        _check_pool(at, service, path, policy.connection_pool)
        _check_balancer(at, service, path, policy.load_balancer, port)


def _policies(spec: DestinationRule) -> Iterator[tuple[str, TrafficPolicy | PortTrafficPolicy]]:
    """All, with their paths."""
    wide = [("spec.trafficPolicy", spec.traffic_policy)]
    wide += [(f"spec.subsets[{i}].trafficPolicy", subset.traffic_policy) for i, subset in enumerate(spec.subsets)]
    for path, policy in wide:
        if policy is not None:
            yield path, policy
            yield from ((f"{path}.portLevelSettings[{i}]", one) for i, one in enumerate(policy.port_level_settings))


def _check_tls(at: Findings, service: Service, path: str, policy: TrafficPolicy | PortTrafficPolicy) -> None:
    if policy.tls is not None and policy.tls.mode in _OWN_TLS:
        at.warning(
            f"{path}.tls.mode",
            f"{policy.tls.mode} is not done towards sidecars: instances of {service.name} that have one are called "
            "with the mesh's mutual TLS. Leave `tls` out, or write ISTIO_MUTUAL",
        )
    if isinstance(policy, TrafficPolicy) and policy.proxy_protocol is not None:
        at.warning(
            f"{path}.proxyProtocol",
            f"sidecars take no PROXY header: instances of {service.name} that have one are called without. "
            "Leave it out",
        )


def _check_pool(at: Findings, service: Service, path: str, pool: ConnectionPoolSettings | None) -> None:
    http = pool.http if pool else None
    if http is None:
        return
    always = f"sidecars speak HTTP/2 with each other, and with the program what its port of {service.name} says"
    if http.h2_upgrade_policy is not H2UpgradePolicy.DEFAULT:
        at.warning(f"{path}.connectionPool.http.h2UpgradePolicy", f"{always}: leave it out")
    if http.use_client_protocol:
        at.warning(f"{path}.connectionPool.http.useClientProtocol", f"{always}: leave it out")


def _check_balancer(
    at: Findings, service: Service, path: str, balancer: LoadBalancerSettings | None, port: int | None
) -> None:
    """port: None for all."""
    if balancer is None:
        return
    if balancer.simple is SimpleLB.PASSTHROUGH:
        at.warning(
            f"{path}.loadBalancer.simple",
            f"nobody listens at the address that callers have of {service.name}: its sidecars are called, by LEAST_REQUEST. "
            "Leave PASSTHROUGH out",
        )
    key = balancer.consistent_hash
    about = [each for each in service.ports if port in (None, each.number)]
    if key is None or key.use_source_ip or not about or any(each.protocol not in _NOT_HTTP for each in about):
        return
    if key.http_header_name or key.http_cookie or key.http_query_parameter_name:
        numbers = ", ".join(str(each.number) for each in about)
        message = (
            f"{service.name} carries no HTTP at {numbers}, where only `useSourceIp` keeps callers apart: write that"
        )
        at.warning(f"{path}.loadBalancer.consistentHash", message)
