"""Access rules of one port, from AuthorizationPolicies as users write them."""

from __future__ import annotations

from typing import Any

import yaml
from msgspec.structs import replace

from declared_mesh import instance
from golden import declared_in
from tulle.ir.access import Access
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Protocol
from tulle.resolve.access import authorization
from tulle.resolve.index import apply
from tulle.resolve.mesh import Mesh


def access(
    *policies: str | dict[str, Any], protocol: Protocol = Protocol.HTTP, aliases: tuple[str, ...] = ()
) -> Access:
    """Each is a policy's spec, `dry run` before it if it is only tried; `policy-0`, `policy-1` and so on in `default`."""
    documents: list[dict[str, Any]] = []
    for number, text in enumerate(policies):
        tried = isinstance(text, str) and text.startswith("dry run")
        spec = yaml.safe_load(text.removeprefix("dry run")) if isinstance(text, str) else text
        annotations = {"istio.io/dry-run": "true"} if tried else {}
        metadata = {"name": f"policy-{number}", "annotations": annotations}
        documents.append({"kind": "AuthorizationPolicy", "metadata": metadata, "spec": spec})
    mesh_wide = {
        "kind": "MeshConfig",
        "metadata": {"name": "mesh", "namespace": "istio-system"},
        "spec": {"trustDomainAliases": list(aliases)},
    }
    proxy = instance("guarded", protocol=protocol)
    mesh, _ = apply(Mesh(), Snapshot(1, {proxy.id: proxy}, resources=declared_in([*documents, mesh_wide])))
    workload = proxy.workloads[0]
    return authorization.access(authorization.policies(mesh, workload), workload, workload.ports[0])


def rule(action: str, **rule: Any) -> dict[str, Any]:
    """A policy of one rule."""
    return {"action": action, "rules": [rule]}


def dry_run(of: Access) -> Access:
    return replace(of, policies=tuple(replace(policy, dry_run=True) for policy in of.policies))
