"""WorkloadEntries and WorkloadGroups: an entry that no ServiceEntry selects, a group without entries."""

from __future__ import annotations

from tulle.model.resources.workload_entry import WorkloadEntry, WorkloadGroup
from tulle.resolve.analysis.findings import NO_WORKLOADS, NOT_FOUND, Findings
from tulle.resolve.analysis.known import Known
from tulle.resolve.workload_entries import GROUP_ANNOTATION, group_of


def of_workload_entry(at: Findings, known: Known) -> None:
    entry, namespace = at.resource, at.resource.ref.namespace
    if not isinstance(entry.spec, WorkloadEntry):
        return
    group = group_of(entry)
    if group is not None and group not in known.declared.resources:
        at.warning(f"metadata.annotations[{GROUP_ANNOTATION}]", f"there is no {group}", NOT_FOUND)
    if not known.is_selected(known.labels(entry), namespace):
        message = f"no ServiceEntry of the namespace {namespace} has a workloadSelector for its labels"
        at.warning("spec.labels", message, NO_WORKLOADS, "no ServiceEntry selects it")


def of_workload_group(at: Findings, known: Known) -> None:
    if isinstance(at.resource.spec, WorkloadGroup) and at.resource.ref not in known.groups:
        message = f"no WorkloadEntry has the annotation {GROUP_ANNOTATION}: {at.resource.ref.name}"
        at.warning("metadata.name", message, NO_WORKLOADS, "no WorkloadEntry belongs to it")
