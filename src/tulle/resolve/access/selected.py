"""Which policies are for a workload. Source: istio.io, Workload Selector; Policy Targets.

A policy of the root namespace is for workloads of all namespaces, any other for those of its own. A `targetRef` to a Service
is for the workloads of that service; one to a Gateway is for no workload of ours.
"""

from __future__ import annotations

from typing import TypeVar

from tulle.model.resources.authorization_policy import AuthorizationPolicy
from tulle.model.resources.peer_authentication import PeerAuthentication
from tulle.model.resources.policy_targets import PolicyTargetReference
from tulle.model.resources.request_authentication import RequestAuthentication
from tulle.model.resources.resource import Resource
from tulle.model.workload import Workload
from tulle.resolve.declared import Declared

Kind = TypeVar("Kind", PeerAuthentication, RequestAuthentication, AuthorizationPolicy)


def selected(declared: Declared, workload: Workload, kind: type[Kind]) -> tuple[tuple[Resource, Kind], ...]:
    """With their specs: those of the root namespace first, then by age."""
    spaces = dict.fromkeys((declared.root_namespace, workload.service.namespace))
    return tuple(
        (one, one.spec)
        for space in spaces
        for one in declared.policies.get(space, ())
        if isinstance(one.spec, kind) and _is_for(one, one.spec, workload)
    )


def _is_for(
    resource: Resource, spec: PeerAuthentication | RequestAuthentication | AuthorizationPolicy, workload: Workload
) -> bool:
    targets: tuple[PolicyTargetReference, ...] = ()
    if not isinstance(spec, PeerAuthentication):
        targets = (*((spec.target_ref,) if spec.target_ref else ()), *spec.target_refs)
    if targets:
        return any(is_of(target, resource.ref.namespace, workload) for target in targets)
    wanted = spec.selector.match_labels if spec.selector else {}
    tags = workload.tags
    return all(tags.get(key) == value for key, value in wanted.items())


def is_of(target: PolicyTargetReference, namespace: str, workload: Workload) -> bool:
    """Whether a target names the workload's service. namespace: of the policy."""
    service = workload.service
    return (
        target.group in ("", "core")
        and target.kind == "Service"
        and (target.namespace or namespace, target.name) == (service.namespace, service.name)
    )
