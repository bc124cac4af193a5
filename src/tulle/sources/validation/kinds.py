"""Which check is whose: of each kind, what its spec must mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tulle.sources.at import At
from tulle.sources.validation import (
    authorization_policy,
    destination_rule,
    mesh_config,
    peer_authentication,
    request_authentication,
    service_entry,
    sidecar,
    telemetry,
    virtual_service,
    workload_entry,
)

CHECKS: Mapping[str, Callable[[Any, At], None]] = {
    "VirtualService": virtual_service.check,
    "DestinationRule": destination_rule.check,
    "ServiceEntry": service_entry.check,
    "WorkloadEntry": workload_entry.check_entry,
    "WorkloadGroup": workload_entry.check_group,
    "Sidecar": sidecar.check,
    "PeerAuthentication": peer_authentication.check,
    "RequestAuthentication": request_authentication.check,
    "AuthorizationPolicy": authorization_policy.check,
    "Telemetry": telemetry.check,
    "MeshConfig": mesh_config.check,
}
