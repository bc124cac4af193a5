"""Sidecars: which of several counts, whom it selects, and whether what it lets them see is there.

A workload goes by the oldest Sidecar that selects it, else by the oldest of its namespace without a selector (`rules.scope`).
"""

from __future__ import annotations

from collections.abc import Mapping

from tulle.model.resources.resource import Resource
from tulle.model.resources.sidecar import Sidecar
from tulle.resolve.analysis.findings import (
    CONFLICTING_SIDECARS,
    NO_WORKLOADS,
    NOT_FOUND,
    SIDECARS_WITHOUT_SELECTOR,
    Findings,
)
from tulle.resolve.analysis.known import Known


def of_sidecar(at: Findings, known: Known) -> None:
    spec, namespace = at.resource.spec, at.resource.ref.namespace
    if not isinstance(spec, Sidecar):
        return
    others = [other for other in known.declared.sidecars.get(namespace, ()) if other.age < at.resource.age]
    if labels := _selector(at.resource):
        _check_selected(at, known, labels, others)
    elif first := next((other for other in others if not _selector(other)), None):
        message = f"{first.ref}, older, is without a selector too, and counts for the namespace: this one does not"
        reason = f"{first.ref}, older, counts for the namespace"
        at.error("spec.workloadSelector", message, SIDECARS_WITHOUT_SELECTOR, reason)
    elif namespace not in (*known.workloads, known.declared.root_namespace):
        at.info("metadata.namespace", f"nobody is in the namespace {namespace} now", NO_WORKLOADS)
    _check_egress(at, known, spec)


def _check_selected(at: Findings, known: Known, labels: Mapping[str, str], others: list[Resource]) -> None:
    namespace, path = at.resource.ref.namespace, "spec.workloadSelector"
    selected = [one for one in known.workloads.get(namespace, ()) if labels.items() <= one.tags.items()]
    if not selected:
        message = f"no workload of the namespace {namespace} has these labels"
        at.warning(path, message, NO_WORKLOADS, "it selects no workload")
        return
    selecting = [(other, wanted) for other in others if (wanted := _selector(other))]
    lost = {
        one.id: other
        for one in selected
        if (other := next((o for o, wanted in selecting if wanted.items() <= one.tags.items()), None))
    }
    if lost:
        workload, other = next(iter(lost.items()))
        reason = f"{other.ref}, older, selects its workloads" if len(lost) == len(selected) else ""
        message = f"{other.ref}, older, selects the workload {workload} too, and counts for it: this one does not"
        at.error(path, message, CONFLICTING_SIDECARS, reason)


def _check_egress(at: Findings, known: Known, spec: Sidecar) -> None:
    own = at.resource.ref.namespace
    for index, listener in enumerate(spec.egress):
        for number, text in enumerate(listener.hosts):
            space, _, host = text.partition("/")
            space, host = own if space == "." else space, host.lower()
            if space == "~" or known.is_covered(host, space) or (space, host) == (own, "*"):
                continue
            if _routes_it(known, space, host):
                continue
            where = "" if space == "*" else f" in the namespace {space}"
            near = known.instead(host, "") if "." in host else ""
            message = f"no service{where} has the host {host}{f'; did you mean {near}?' if near else ''}"
            at.warning(f"spec.egress[{index}].hosts[{number}]", message, NOT_FOUND)


def _routes_it(known: Known, space: str, host: str) -> bool:
    """Whether a VirtualService of the namespace has the host: callers then see its routes."""
    return any(space in ("*", one.ref.namespace) for one in known.declared.virtual_services.get(host, ()))


def _selector(resource: Resource) -> Mapping[str, str]:
    spec = resource.spec
    return spec.workload_selector.labels if isinstance(spec, Sidecar) and spec.workload_selector else {}
