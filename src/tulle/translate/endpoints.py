"""Load assignments: who serves a backend now."""

from __future__ import annotations

from typing import Any

from tulle.envoy_api.messages import message
from tulle.ir.types import Endpoint, Endpoints, Locality
from tulle.translate import names


def load_assignment(endpoints: Endpoints) -> Any:
    """A ClusterLoadAssignment; with no endpoint Envoy answers at once that nobody is there."""
    return message("envoy.config.endpoint.v3.ClusterLoadAssignment")(
        cluster_name=names.backend(endpoints.destination, endpoints.subset),
        endpoints=[_locality(locality) for locality in endpoints.localities],
    )


def _locality(locality: Locality) -> dict[str, Any]:
    return {"lb_endpoints": [_lb_endpoint(endpoint) for endpoint in locality.endpoints]}


def _lb_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    address = {"socket_address": {"address": endpoint.address, "port_value": endpoint.port}}
    health = {"health_status": "DRAINING"} if endpoint.draining else {}
    return {"endpoint": {"address": address}, **health}
