"""PeerAuthentications: which of several counts (`peers`), whom it selects, and whether its ports are there."""

from __future__ import annotations

from tulle.model.resources.peer_authentication import PeerAuthentication
from tulle.resolve.analysis.findings import NOT_FOUND, Findings
from tulle.resolve.analysis.known import Known
from tulle.resolve.analysis.peers import labels_of
from tulle.resolve.analysis.policed import Policed
from tulle.resolve.analysis.whom import check_selected


def of_peer_authentication(at: Findings, known: Known) -> None:
    spec, namespace = at.resource.spec, at.resource.ref.namespace
    if not isinstance(spec, PeerAuthentication):
        return
    labels = labels_of(at.resource)
    policed = check_selected(at, known, labels)
    if labels:
        _check_selecting(at, known, policed)
    elif (first := known.peers.whole(namespace)) is not None and first.ref != at.resource.ref:
        whose = "the mesh" if namespace == known.declared.root_namespace else "the namespace"
        message = f"{first.ref}, older, is without a selector too, and counts for {whose}: this one does not"
        at.error("spec.selector", message, not_in_force=f"{first.ref}, older, counts for {whose}")
    for port in spec.port_level_mtls if policed.workloads else ():
        if port.isdecimal() and int(port) not in policed.numbers:
            there = ", ".join(map(str, sorted(policed.numbers)[:20]))
            message = f"none of its workloads has a port {port}; their ports: {there or 'none'}"
            at.warning(f"spec.portLevelMtls.{port}", message, NOT_FOUND)


def _check_selecting(at: Findings, known: Known, policed: Policed) -> None:
    winners = known.peers.selecting(at.resource.ref.namespace)
    lost = {
        one.id: winner
        for one in policed.workloads
        if (winner := winners.get(one.id)) is not None and winner.ref != at.resource.ref
    }
    if lost:
        workload, other = next(iter(lost.items()))
        reason = f"{other.ref}, older, selects its workloads" if len(lost) == len(policed.workloads) else ""
        message = f"{other.ref}, older, selects the workload {workload} too, and counts for it: this one does not"
        at.error("spec.selector", message, not_in_force=reason)
