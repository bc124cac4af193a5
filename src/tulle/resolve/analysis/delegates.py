"""`delegate`, from both sides: the root that names one, and the VirtualService without hosts that is one.

Source: Istio, Virtual Service, `delegate`; what is left out is decided in `resolve.delegation`.
"""

from __future__ import annotations

from tulle.model.resources.virtual_service import HTTPRoute, VirtualService
from tulle.resolve.analysis.findings import NOT_FOUND, UNREACHABLE_RULE, Findings
from tulle.resolve.analysis.known import Known, routes_sidecars
from tulle.resolve.callers import Caller
from tulle.resolve.delegation import merge
from tulle.resolve.rules import exported


def check_delegations(at: Findings, known: Known, spec: VirtualService) -> None:
    """Of a root: whether those to which it delegates are there for it."""
    own = at.resource.ref.namespace
    for index, route in enumerate(spec.http):
        if route.delegate is None or not spec.hosts:
            continue
        namespace, name = route.delegate.namespace or own, route.delegate.name
        found, problem = known.declared.get("VirtualService", namespace, name), ""
        if found is None or not isinstance(found.spec, VirtualService):
            problem = f"there is no VirtualService {namespace}/{name}"
        elif found.spec.hosts:
            problem = f"VirtualService {namespace}/{name} has hosts of its own, and so is no delegate"
        elif not exported(found, found.spec.export_to, Caller(own)):
            problem = f"VirtualService {namespace}/{name} is not exported to the namespace {own}"
        if problem:
            at.error(f"spec.http[{index}].delegate", f"{problem}: this route is left out", NOT_FOUND)


def check_as_delegate(at: Findings, known: Known, spec: VirtualService) -> None:
    """Of what has no hosts: whether somebody delegates to it, and which of its routes then count."""
    ref = at.resource.ref
    roots = known.declared.roots.get(f"{ref.namespace}/{ref.name}", ())
    roots = tuple(root for root in roots if isinstance(root.spec, VirtualService) and root.spec.hosts)
    if not roots:
        at.warning(
            "spec", "it has no hosts, and no VirtualService delegates to it", NOT_FOUND, "nobody delegates to it"
        )
        return
    if not any(routes_sidecars(root) for root in roots):
        message = f"those that delegate to it are for gateways alone ({roots[0].ref}): tulle has no gateways yet"
        at.warning("spec", message, NOT_FOUND, "no gateway")
    delegating = [
        route
        for root in roots
        if isinstance(root.spec, VirtualService)
        for route in root.spec.http
        if route.delegate
        and (route.delegate.namespace or root.ref.namespace, route.delegate.name) == (ref.namespace, ref.name)
    ]
    for index, part in enumerate(spec.http):
        _check_part(at, f"spec.http[{index}]", part, delegating)


def _check_part(at: Findings, path: str, part: HTTPRoute, delegating: list[HTTPRoute]) -> None:
    if part.delegate is not None:
        at.warning(f"{path}.delegate", "a delegate does not delegate further: this route is left out", UNREACHABLE_RULE)
    elif delegating and all(merge(root, part) is None for root in delegating):
        message = "it lies within no match of the route that delegates to it: this route is left out"
        at.warning(f"{path}.match", message, UNREACHABLE_RULE)
