"""For which workloads a policy is: selectors that select nobody, targets that are not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tulle.model.names import ServiceName
from tulle.model.resources.authorization_policy import AuthorizationPolicy
from tulle.model.resources.policy_targets import PolicyTargetReference
from tulle.model.resources.request_authentication import RequestAuthentication
from tulle.model.resources.telemetry import Telemetry
from tulle.model.workload import Workload
from tulle.resolve.analysis.findings import NO_WORKLOADS, NOT_FOUND, Findings
from tulle.resolve.analysis.known import Known
from tulle.resolve.analysis.policed import Policed


def check_whom(at: Findings, known: Known, spec: AuthorizationPolicy | RequestAuthentication | Telemetry) -> Policed:
    """Those for whom it is, after saying what is none of it."""
    given = list(_targets(spec))
    if not given:
        return check_selected(at, known, spec.selector.match_labels if spec.selector else {})
    there: dict[str, Workload] = {}
    problems = []
    for path, target in given:
        problem, workloads = _aim(at, known, target)
        if problem:
            problems.append((path, problem))
        there.update((one.id, one) for one in workloads)
    for path, (message, reason) in problems:
        at.warning(path, message, NOT_FOUND, reason if len(problems) == len(given) else "")
    return known.these(tuple(there.values()))


def check_selected(at: Findings, known: Known, labels: Mapping[str, str]) -> Policed:
    namespace = at.resource.ref.namespace
    found = known.policed(labels, namespace)
    where = "the mesh" if namespace == known.declared.root_namespace else f"the namespace {namespace}"
    if labels and not found.workloads:
        message = f"no workload of {where} has these labels"
        at.warning("spec.selector", message, NO_WORKLOADS, "it selects no workload")
    elif not found.workloads:
        at.info("metadata.namespace", f"nobody is in {where} now", NO_WORKLOADS)
    return found


def _aim(
    at: Findings, known: Known, target: PolicyTargetReference
) -> tuple[tuple[str, str] | None, tuple[Workload, ...]]:
    """What is wrong, and in a few words; or the workloads."""
    namespace = at.resource.ref.namespace
    if target.kind != "Service":
        return (f"there is no {target.kind} {target.name}: tulle has no gateways yet", "no gateway"), ()
    service = known.mesh.services.get(ServiceName(namespace, target.name))
    if service is None:
        return (known.nobody(target.name, namespace), f"there is no service {target.name}"), ()
    if not service.instances:
        return (f"{service.name} has no instance with a sidecar", f"{service.name} has no instance with a sidecar"), ()
    return None, tuple(instance.workload for instance in service.instances)


def _targets(
    spec: AuthorizationPolicy | RequestAuthentication | Telemetry,
) -> Iterator[tuple[str, PolicyTargetReference]]:
    """With their paths."""
    if spec.target_ref is not None:
        yield "spec.targetRef", spec.target_ref
    yield from ((f"spec.targetRefs[{index}]", one) for index, one in enumerate(spec.target_refs))
