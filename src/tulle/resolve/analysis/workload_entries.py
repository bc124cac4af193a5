"""WorkloadEntries, and the template of a WorkloadGroup: nobody is reached by one that no ServiceEntry selects."""

from __future__ import annotations

from collections.abc import Mapping

from tulle.model.resources.workload_entry import WorkloadEntry, WorkloadGroup
from tulle.resolve.analysis.findings import NO_WORKLOADS, Findings
from tulle.resolve.analysis.known import Known


def of_workload_entry(at: Findings, known: Known) -> None:
    if isinstance(at.resource.spec, WorkloadEntry):
        _check(at, known, "spec.labels", at.resource.spec.labels)


def of_workload_group(at: Findings, known: Known) -> None:
    spec = at.resource.spec
    if isinstance(spec, WorkloadGroup):
        metadata, template = spec.metadata, spec.template
        labels = {**(metadata.labels if metadata else {}), **(template.labels if template else {})}
        _check(at, known, "spec.template", labels)


def _check(at: Findings, known: Known, path: str, labels: Mapping[str, str]) -> None:
    namespace = at.resource.ref.namespace
    if not known.is_selected(labels, namespace):
        message = f"no ServiceEntry of the namespace {namespace} has a workloadSelector for these labels"
        at.warning(path, message, NO_WORKLOADS, "no ServiceEntry selects it")
