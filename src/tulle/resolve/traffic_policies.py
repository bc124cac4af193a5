"""Which words of a host's DestinationRules hold for one of its ports and subsets.

Source: Istio, Destination Rule, `TrafficPolicy` and `portLevelSettings`: a setting of a port takes the place of all four settings
of the host (load balancer, connection pool, outlier detection, TLS), said or not; a subset's take the place of the host's one
by one; what is said of a port within a subset stands alone again. MeshConfig's defaultTrafficPolicy is the ground below: its
fields hold where the rule leaves them out. What the words come to is left to `policies`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from msgspec.structs import asdict, fields, replace

from tulle.model.resources.common import Message
from tulle.model.resources.destination_rule import (
    ConnectionPoolSettings,
    DestinationRule,
    OutlierDetection,
    PortTrafficPolicy,
    Subset,
    TrafficPolicy,
)
from tulle.model.resources.mesh_config import MeshConfig
from tulle.model.resources.resource import Resource

M = TypeVar("M", bound=Message)


def traffic_policy(rules: Sequence[Resource], port: int, subset: str, mesh: MeshConfig | None) -> TrafficPolicy:
    """The one that holds. Of several rules the first that has a trafficPolicy gives it, and the first that has the subset."""
    specs = [rule.spec for rule in rules if isinstance(rule.spec, DestinationRule)]
    host = next((spec.traffic_policy for spec in specs if spec.traffic_policy), None)
    chosen, _ = _of_port(host, port)
    found = named_subset(rules, subset)
    if found is not None and found.traffic_policy is not None:
        narrower, stands_alone = _of_port(found.traffic_policy, port)
        chosen = _over(chosen, narrower, stands_alone)
    return _on_ground(chosen, mesh)


def named_subset(rules: Sequence[Resource], name: str) -> Subset | None:
    """The first subset of that name; None if there is none, or for no name."""
    return next((subset for subset in subsets(rules) if subset.name == name), None) if name else None


def subsets(rules: Sequence[Resource]) -> Iterator[Subset]:
    """All of a host's, in order, the first of each name."""
    seen: set[str] = set()
    for rule in rules:
        if isinstance(rule.spec, DestinationRule):
            for subset in rule.spec.subsets:
                if subset.name not in seen:
                    seen.add(subset.name)
                    yield subset


def _of_port(policy: TrafficPolicy | None, port: int) -> tuple[TrafficPolicy, bool]:
    """What holds for the port, and whether that was said of it alone."""
    if policy is None:
        return TrafficPolicy(), False
    found: PortTrafficPolicy | None = next(
        (level for level in policy.port_level_settings if level.port is not None and level.port.number == port), None
    )
    if found is None:
        return replace(policy, port_level_settings=()), False
    # What can't be said of a port is the host's: there is nothing that it would take the place of.
    return TrafficPolicy(
        load_balancer=found.load_balancer,
        connection_pool=found.connection_pool,
        outlier_detection=found.outlier_detection,
        tls=found.tls,
        tunnel=policy.tunnel,
        proxy_protocol=policy.proxy_protocol,
        retry_budget=policy.retry_budget,
    ), True


def _over(wider: TrafficPolicy, narrower: TrafficPolicy, stands_alone: bool) -> TrafficPolicy:
    said = {name: value for name, value in asdict(narrower).items() if value is not None and value != ()}
    if stands_alone:
        said = dict.fromkeys(("load_balancer", "connection_pool", "outlier_detection", "tls")) | said
    return replace(wider, **said)


def _on_ground(policy: TrafficPolicy, mesh: MeshConfig | None) -> TrafficPolicy:
    ground = mesh.default_traffic_policy if mesh else None
    if ground is None:
        return policy
    return replace(
        policy,
        connection_pool=_pool(policy.connection_pool, ground.connection_pool),
        outlier_detection=_outliers(policy.outlier_detection, ground.outlier_detection),
    )


def _pool(said: ConnectionPoolSettings | None, ground: ConnectionPoolSettings | None) -> ConnectionPoolSettings | None:
    if said is None or ground is None:
        return said or ground
    tcp = _filled(said.tcp, ground.tcp) if said.tcp and ground.tcp else said.tcp or ground.tcp
    http = _filled(said.http, ground.http) if said.http and ground.http else said.http or ground.http
    return ConnectionPoolSettings(tcp=tcp, http=http)


def _outliers(said: OutlierDetection | None, ground: OutlierDetection | None) -> OutlierDetection | None:
    return _filled(said, ground) if said and ground else said or ground


def _filled(said: M, ground: M) -> M:
    """The fields that one leaves out are the other's."""
    nothing = type(said)()
    left_out = [field.name for field in fields(said) if getattr(said, field.name) == getattr(nothing, field.name)]
    return replace(said, **{name: getattr(ground, name) for name in left_out})
