"""`trafficPolicy`: of a DestinationRule, of its subsets and of single ports.

Source: Istio, pkg/config/validation (validateTrafficPolicy, validatePortTrafficPolicies, validateTunnelSettings).
"""

from __future__ import annotations

from tulle.model.ip import is_address
from tulle.model.resources.destination_rule import PortTrafficPolicy, RetryBudget, TrafficPolicy, TunnelSettings
from tulle.sources.at import At
from tulle.sources.validation import connection_pool, load_balancer, outlier_detection, tls
from tulle.sources.validation.amounts import check_count, check_percent, check_time
from tulle.sources.validation.basics import check_no_zone, check_port, fqdn_problem

_MOST_PORTS = 4096


def check(policy: TrafficPolicy | None, at: At) -> None:
    if policy is None:
        return
    _check_common(policy, at)
    if policy == TrafficPolicy():
        at.error("is empty: say how to call the host (`loadBalancer`, `connectionPool`, `tls` …), or leave it out")
    if policy.tunnel is not None and policy.proxy_protocol is not None:
        at.field("proxyProtocol").error("`tunnel` and `proxyProtocol` exclude each other: keep one")
    if policy.tunnel is not None:
        _check_tunnel(policy.tunnel, at.field("tunnel"))
    if policy.retry_budget is not None:
        _check_budget(policy.retry_budget, at.field("retryBudget"))
    _check_ports(policy.port_level_settings, at.field("portLevelSettings"))


def _check_common(policy: TrafficPolicy | PortTrafficPolicy, at: At) -> None:
    outlier_detection.check(policy.outlier_detection, at.field("outlierDetection"))
    connection_pool.check(policy.connection_pool, at.field("connectionPool"))
    load_balancer.check(policy.load_balancer, at.field("loadBalancer"), outlier=policy.outlier_detection is not None)
    tls.check(policy.tls, at.field("tls"))


def _check_ports(policies: tuple[PortTrafficPolicy, ...], at: At) -> None:
    check_count(policies, at, _MOST_PORTS)
    seen: set[int] = set()
    for index, policy in enumerate(policies):
        place = at.item(index)
        if policy.port is None:
            place.field("port").error("which port? Write `port: {number: 80}`")
        elif policy.port.number in seen:
            place.field("port").warning(f"port {policy.port.number} has a policy above, which holds: leave one out")
        else:
            seen.add(policy.port.number)
        if policy == PortTrafficPolicy(port=policy.port):
            place.error("says nothing of the port: give `loadBalancer`, `connectionPool`, `outlierDetection` or `tls`")
        _check_common(policy, place)


def _check_tunnel(tunnel: TunnelSettings, at: At) -> None:
    if tunnel.protocol not in ("", "CONNECT", "POST"):
        at.field("protocol").error(f"`{tunnel.protocol}` must be CONNECT or POST")
    if not is_address(tunnel.target_host) and (problem := fqdn_problem(tunnel.target_host)):
        at.field("targetHost").error(f"{problem}; or write an IP address")
    else:
        check_no_zone(tunnel.target_host, at.field("targetHost"))
    check_port(tunnel.target_port, at.field("targetPort"))


def _check_budget(budget: RetryBudget, at: At) -> None:
    if budget.percent is not None:
        check_percent(budget.percent, at.field("percent"))
    check_time(budget.budget_interval, at.field("budgetInterval"))
