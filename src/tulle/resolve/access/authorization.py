"""The AuthorizationPolicies that are for one port of a workload. Which are for the workload at all, `selected` says."""

from __future__ import annotations

from tulle.ir.access import Access, Action, Policy
from tulle.model.resources.authorization_policy import AuthorizationPolicy, dry_run
from tulle.model.resources.resource import Resource
from tulle.model.spiffe import TRUST_DOMAIN
from tulle.model.workload import Protocol, ServicePort, Workload
from tulle.resolve.access.conditions import Reader
from tulle.resolve.access.selected import selected
from tulle.resolve.mesh import Mesh


def policies(mesh: Mesh, workload: Workload) -> tuple[Policy, ...]:
    """All that are for the workload, by namespace and name; the same for all of its ports."""
    found = selected(mesh.declared, workload, AuthorizationPolicy)
    domains = (TRUST_DOMAIN, *mesh.declared.config.trust_domain_aliases)
    in_order = sorted(found, key=lambda one: (one[0].ref.namespace, one[0].ref.name))
    return tuple(_policy(resource, spec, domains) for resource, spec in in_order)


def access(policies: tuple[Policy, ...], workload: Workload, port: ServicePort) -> Access:
    """What of a workload's policies is said to one of its ports."""
    targets = {one.target for one in workload.ports}
    numbers = {port.target} | ({port.number} - targets)
    tcp = port.protocol in (Protocol.TCP, Protocol.TLS)
    return Access(policies, tuple(map(str, sorted(numbers))) if policies else (), tcp)


def _policy(resource: Resource, spec: AuthorizationPolicy, domains: tuple[str, ...]) -> Policy:
    reader = Reader(resource.ref.namespace, domains)
    return Policy(
        str(resource.ref),
        Action(spec.action),
        tuple(reader.rule(rule, f"spec.rules[{n}]") for n, rule in enumerate(spec.rules)),
        dry_run=bool(dry_run(resource.annotations)),
        provider=spec.provider.name if spec.provider else "",
    )
