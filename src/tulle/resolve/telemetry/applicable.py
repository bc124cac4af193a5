"""Which Telemetries are for a workload, the widest first. Source: istio.io, Telemetry, "Scope, inheritance, and overrides".

One of the root namespace, one of the workload's namespace, each the oldest that is for all there; then the oldest that names the
workload, by labels or by its service.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tulle.model.resources.policy_targets import PolicyTargetReference
from tulle.model.resources.resource import Resource
from tulle.model.resources.telemetry import Telemetry
from tulle.model.workload import Workload
from tulle.resolve.access.selected import is_of
from tulle.resolve.declared import Declared


def applicable(declared: Declared, workload: Workload) -> tuple[tuple[Resource, Telemetry], ...]:
    """With their specs."""
    if not declared.telemetries:
        return ()
    root, namespace = declared.root_namespace, workload.service.namespace
    found = [_first(for_all(declared.telemetries.get(space, ()))) for space in dict.fromkeys((root, namespace))]
    own = _pairs(declared.telemetries.get(namespace, ()))
    found.append(_first((one, spec) for one, spec in own if is_named(spec, one.ref.namespace, workload)))
    return tuple(one for one in found if one is not None)


def for_all(telemetries: Sequence[Resource]) -> Iterator[tuple[Resource, Telemetry]]:
    """Those that are for all of a namespace."""
    return ((one, spec) for one, spec in _pairs(telemetries) if not _labels(spec) and not targets(spec))


def is_named(spec: Telemetry, namespace: str, workload: Workload) -> bool:
    """Whether it is for this workload and not for all. namespace: of the Telemetry."""
    if given := targets(spec):
        return any(is_of(target, namespace, workload) for target in given)
    wanted = _labels(spec)
    return bool(wanted) and wanted.items() <= workload.tags.items()


def targets(spec: Telemetry) -> tuple[PolicyTargetReference, ...]:
    return (*((spec.target_ref,) if spec.target_ref else ()), *spec.target_refs)


def _labels(spec: Telemetry) -> dict[str, str]:
    return dict(spec.selector.match_labels) if spec.selector else {}


def _pairs(telemetries: Sequence[Resource]) -> Iterator[tuple[Resource, Telemetry]]:
    return ((one, one.spec) for one in telemetries if isinstance(one.spec, Telemetry))


def _first(found: Iterator[tuple[Resource, Telemetry]]) -> tuple[Resource, Telemetry] | None:
    return next(found, None)
