"""WorkloadEntries as they count: with what their WorkloadGroup says for all of its workloads.

Source: Istio, Workload Group (`metadata`, `template`) and Workload Entry. Istio makes the entries of a group itself, when a
machine registers; here users write them, and name the group by the annotation that Istio puts on those it makes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from tulle.model.resources.resource import Ref, Resource
from tulle.model.resources.workload_entry import WorkloadEntry, WorkloadGroup

GROUP_ANNOTATION = "istio.io/autoRegistrationGroup"


def group_of(entry: Resource) -> Ref | None:
    """The WorkloadGroup to which it belongs, whether or not there is one."""
    name = entry.annotations.get(GROUP_ANNOTATION)
    return Ref("WorkloadGroup", entry.ref.namespace, name) if name else None


def completed(entry: Resource, groups: Mapping[Ref, Resource]) -> WorkloadEntry:
    """What it says itself comes first; labels are those of both, and of its metadata."""
    spec = entry.spec
    assert isinstance(spec, WorkloadEntry)
    ref = group_of(entry)
    found = groups.get(ref) if ref else None
    group = found.spec if found and isinstance(found.spec, WorkloadGroup) else WorkloadGroup()
    template, metadata = group.template or WorkloadEntry(), group.metadata
    shared = {**template.labels, **(metadata.labels if metadata else {})}
    return replace(
        spec,
        ports={**template.ports, **spec.ports},
        labels={**shared, **spec.labels, **entry.labels},
        network=spec.network or template.network,
        locality=spec.locality or template.locality,
        weight=spec.weight or template.weight,
        service_account=spec.service_account or template.service_account,
    )


def all_completed(selected: Iterable[Resource]) -> list[WorkloadEntry]:
    """Of WorkloadEntries and the groups among them, the entries."""
    by_ref = {resource.ref: resource for resource in selected}
    return [completed(one, by_ref) for one in by_ref.values() if isinstance(one.spec, WorkloadEntry)]
