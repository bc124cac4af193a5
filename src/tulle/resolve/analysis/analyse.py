"""Everything that is valid and does nothing, or not what it says, in the mesh as it is.

One pass over the resources; what is looked up of the others is found by key (`known`), so that ten thousand take about a
second. Leaves to `sources.validation` what a document alone can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from tulle.model.resources.resource import Ref
from tulle.resolve.analysis.authorization_policies import of_authorization_policy
from tulle.resolve.analysis.destination_rules import of_destination_rule
from tulle.resolve.analysis.findings import Finding, Findings
from tulle.resolve.analysis.known import Known
from tulle.resolve.analysis.peer_authentications import of_peer_authentication
from tulle.resolve.analysis.request_authentications import of_request_authentication
from tulle.resolve.analysis.service_entries import of_service_entry
from tulle.resolve.analysis.sidecars import of_sidecar
from tulle.resolve.analysis.telemetries import of_telemetry
from tulle.resolve.analysis.virtual_services import of_virtual_service
from tulle.resolve.analysis.workload_entries import of_workload_entry, of_workload_group
from tulle.resolve.mesh import Mesh

_OF_KIND: Mapping[str, Callable[[Findings, Known], None]] = {
    "VirtualService": of_virtual_service,
    "DestinationRule": of_destination_rule,
    "ServiceEntry": of_service_entry,
    "WorkloadEntry": of_workload_entry,
    "WorkloadGroup": of_workload_group,
    "Sidecar": of_sidecar,
    "PeerAuthentication": of_peer_authentication,
    "RequestAuthentication": of_request_authentication,
    "AuthorizationPolicy": of_authorization_policy,
    "Telemetry": of_telemetry,
}


def analyse(mesh: Mesh, only: Collection[Ref] | None = None) -> tuple[Finding, ...]:
    """What is found of all resources, or of some; by resource, and in the order of its fields."""
    known, found = Known(mesh), list[Finding]()
    for ref in sorted(mesh.declared.resources if only is None else only):
        resource, of_kind = mesh.declared.resources.get(ref), _OF_KIND.get(ref.kind)
        if resource is not None and of_kind is not None:
            findings = Findings(resource)
            of_kind(findings, known)
            found += findings.found
    return tuple(found)
