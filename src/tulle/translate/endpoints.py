"""Load assignments: who serves a backend now."""

from __future__ import annotations

from typing import Any

from tulle.envoy_api.messages import message
from tulle.ir.types import Endpoint, Endpoints, Locality
from tulle.translate import names
from tulle.translate.transport import SOCKET_MATCH, plain_mark


def load_assignment(endpoints: Endpoints) -> Any:
    """A ClusterLoadAssignment; with no endpoint Envoy answers at once that nobody is there."""
    return message("envoy.config.endpoint.v3.ClusterLoadAssignment")(
        cluster_name=names.backend(endpoints),
        endpoints=[locality(found) for found in endpoints.localities],
    )


def locality(found: Locality) -> dict[str, Any]:
    """LocalityLbEndpoints."""
    region, _, rest = found.name.partition("/")
    zone, _, subzone = rest.partition("/")
    place = {name: part for name, part in (("region", region), ("zone", zone), ("sub_zone", subzone)) if part}
    return {
        **({"locality": place} if place else {}),
        "lb_endpoints": [_lb_endpoint(endpoint) for endpoint in found.endpoints],
        **({"load_balancing_weight": {"value": found.weight}} if found.weight else {}),
        **({"priority": found.priority} if found.priority else {}),
    }


def _lb_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    path = endpoint.address.removeprefix("unix://")
    address: dict[str, Any] = {"socket_address": {"address": endpoint.address, "port_value": endpoint.port}}
    if path != endpoint.address:
        address = {"pipe": {"path": path}}
    return {
        "endpoint": {"address": address},
        **({"health_status": "DRAINING"} if endpoint.draining else {}),
        **({"load_balancing_weight": {"value": endpoint.weight}} if endpoint.weight != 1 else {}),
        **({"metadata": {"filter_metadata": told}} if (told := _metadata(endpoint)) else {}),
    }


def _metadata(endpoint: Endpoint) -> dict[str, Any]:
    return {
        **({SOCKET_MATCH: plain_mark()} if endpoint.plain else {}),
        **({names.METADATA: {"fields": {"peer": {"string_value": endpoint.peer}}}} if endpoint.peer else {}),
    }
