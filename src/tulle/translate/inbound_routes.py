"""The routes of one inbound port that carries HTTP: all to the program, and who may ask for what.

They come by RDS and not within the listener, as only so a change of access rules counts on connections that are open.
"""

from __future__ import annotations

from typing import Any

from tulle.envoy_api.messages import message
from tulle.ir.types import Inbound, InboundPort
from tulle.translate import names
from tulle.translate.access.http_filters import access_by_route


def inbound_routes(inbound: Inbound, port: InboundPort) -> Any:
    """The route configuration; it has the name of the program's cluster."""
    return message("envoy.config.route.v3.RouteConfiguration")(
        name=names.inbound_cluster(inbound.workload, port.destination.port),
        # Only a sidecar may say that its program has not seen a request, and who answered.
        response_headers_to_remove=[names.NOT_SERVED_HEADER, names.PEER_HEADER],
        virtual_hosts=[{"name": "program", "domains": ["*"], "routes": _to_program(inbound, port)}],
        typed_per_filter_config=access_by_route(port.access, inbound.revoked, inbound.authorizer),
    )


def _to_program(inbound: Inbound, port: InboundPort) -> list[dict[str, Any]]:
    """See clusters.program_clusters."""
    workload = inbound.workload
    pooled = {"cluster": names.inbound_cluster(workload, port.destination.port), "timeout": {}, "idle_timeout": {}}
    if port.protocol.is_http2:
        return [{"match": {"prefix": "/"}, "route": pooled}]
    once = {**pooled, "cluster": names.inbound_once_cluster(workload, port.destination.port)}
    if port.is_limited:
        return [{"match": {"prefix": "/"}, "route": once}]
    safe = {"name": ":method", "string_match": {"safe_regex": {"regex": names.SAFE_METHODS}}}
    return [{"match": {"prefix": "/", "headers": [safe]}, "route": pooled}, {"match": {"prefix": "/"}, "route": once}]
