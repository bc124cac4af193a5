"""ServiceEntries: beside a service of the mesh, beside another entry of the host, or selecting nobody."""

from __future__ import annotations

from tulle.model.names import service_of
from tulle.model.resources.resource import Resource
from tulle.model.resources.service_entry import ServiceEntry
from tulle.resolve.analysis.exports import check_exports
from tulle.resolve.analysis.findings import CONFLICTING_HOSTS, NO_WORKLOADS, NOT_FOUND, Findings
from tulle.resolve.analysis.known import Known
from tulle.resolve.analysis.winners import why


def of_service_entry(at: Findings, known: Known) -> None:
    spec, ref = at.resource.spec, at.resource.ref
    if not isinstance(spec, ServiceEntry):
        return
    lost = {host: winner for host in spec.hosts if (winner := known.lost_entries(host.lower()).get(ref))}
    for index, host in enumerate(spec.hosts):
        path = f"spec.hosts[{index}]"
        if host in lost:
            _check_other(at, path, host, lost[host], is_all=len(lost) == len(set(spec.hosts)))
        service = known.mesh.services.get(service_of(host.lower()))
        if service is not None and service.name.namespace and service.instances:
            message = (
                f"the mesh has a service {service.name}, whose instances come first: this adds what they do not offer"
            )
            at.warning(path, message, CONFLICTING_HOSTS)
        elif near := known.instead(host, ref.namespace) if "." in host else "":
            at.warning(path, f"{host} is taken literally; the service of the mesh is {near}", NOT_FOUND)
    selector = spec.workload_selector
    if selector is not None and not known.selects(selector.labels, ref.namespace):
        message = f"no workload and no WorkloadEntry of the namespace {ref.namespace} has these labels"
        at.warning("spec.workloadSelector", message, NO_WORKLOADS)
    check_exports(at, known, spec.export_to)


def _check_other(at: Findings, path: str, host: str, winner: Resource, *, is_all: bool) -> None:
    told, reason = why(winner, at.resource), ""
    if is_all:
        reason = f"{told} declares host {host}"
    if _says(winner) == _says(at.resource):
        at.info(path, f"{told} declares {host} too, in the same way", CONFLICTING_HOSTS, reason)
    else:
        message = f"{told} declares {host} too, in another way, and counts: this one does not; make one of them"
        at.warning(path, message, CONFLICTING_HOSTS, reason)


def _says(entry: Resource) -> object:
    spec = entry.spec
    assert isinstance(spec, ServiceEntry)
    return spec.ports, spec.location, spec.resolution, spec.endpoints, spec.workload_selector
