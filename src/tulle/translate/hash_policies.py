"""By what a request's endpoint is found again. Source: Envoy, RouteAction.HashPolicy, and TcpProxy, `hash_policy`."""

from __future__ import annotations

from typing import Any

from tulle.ir.policies import HashKey
from tulle.translate.durations import duration


def hash_policy(key: HashKey | None) -> list[dict[str, Any]]:
    """For HTTP: of a route, or of a cluster's HTTP options. A cookie with a ttl is made for those who bring none."""
    if key is None:
        return []
    if key.header:
        return [{"header": {"header_name": key.header}}]
    if key.cookie:
        made = {} if key.cookie_ttl is None else {"ttl": duration(key.cookie_ttl)}
        attributes = [{"name": name, "value": value} for name, value in key.cookie_attributes]
        return [{"cookie": {"name": key.cookie, "path": key.cookie_path, "attributes": attributes, **made}}]
    if key.query_parameter:
        return [{"query_parameter": {"name": key.query_parameter}}]
    return [{"connection_properties": {"source_ip": True}}]


def tcp_hash_policy(key: HashKey | None) -> list[dict[str, Any]]:
    """For TCP, where there is nothing but where a connection comes from."""
    return [{"source_ip": {}}] if key is not None and key.source_ip else []
