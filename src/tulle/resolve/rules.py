"""Which of the declared rules hold for a caller and a host.

Sources: Istio, Virtual Service (`hosts`, `exportTo`), Destination Rule (`host`, `exportTo`, `workloadSelector`), Sidecar
(`egress.hosts`, the order of selection); which one wins follows from their age, as Istio's order by creation.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from tulle.model.resources.destination_rule import DestinationRule
from tulle.model.resources.mesh_config import MeshOutboundMode
from tulle.model.resources.resource import Resource
from tulle.model.resources.sidecar import OutboundMode, Sidecar
from tulle.model.resources.virtual_service import VirtualService
from tulle.resolve.callers import Caller
from tulle.resolve.declared import Declared
from tulle.resolve.hosts import covers, wildcards

MESH_GATEWAY = "mesh"


class Scope(Struct, frozen=True):
    """What a caller's Sidecar lets it see. egress: None for everything, else pairs of a namespace (`*`: any) and a host."""

    egress: tuple[tuple[str, str], ...] | None = None
    sidecar: Resource | None = None

    def sees(self, namespace: str, host: str) -> bool:
        """Whether a service or rule of `namespace` for `host` is in it."""
        return self.egress is None or any(
            space in ("*", namespace) and covers(pattern, host) for space, pattern in self.egress
        )


def scope(declared: Declared, caller: Caller) -> Scope:
    """By the Sidecar that selects the caller; else its namespace's, else the root namespace's."""
    own = declared.sidecars.get(caller.namespace, ())
    general = [s for s in own if not _selector(s)]
    root = [s for s in declared.sidecars.get(declared.root_namespace, ()) if not _selector(s)]
    chosen = next(iter([s for s in own if (labels := _selector(s)) and caller.fits(labels)] or general or root), None)
    spec = chosen.spec if chosen else None
    if not isinstance(spec, Sidecar) or not spec.egress:
        return Scope(None, chosen)
    found: list[tuple[str, str]] = []
    for text in (host for listener in spec.egress for host in listener.hosts):
        space, _, host = text.partition("/")
        if space != "~":
            found.append((caller.namespace if space == "." else space, host.lower()))
    return Scope(tuple(dict.fromkeys(found)), chosen)


def passes_others(declared: Declared, seen: Scope) -> bool:
    """Whether a caller may call what the mesh does not know; its Sidecar comes before what is said for the whole mesh.

    Sources: Istio, Sidecar (`outboundTrafficPolicy`) and MeshConfig (the same). ALLOW_ANY_DYNAMIC_DNS is what a proxy does in
    any case; a captured program looks names up itself.
    """
    spec = seen.sidecar.spec if seen.sidecar else None
    if isinstance(spec, Sidecar) and spec.outbound_traffic_policy is not None:
        return spec.outbound_traffic_policy.mode is not OutboundMode.REGISTRY_ONLY
    policy = declared.config.outbound_traffic_policy
    return policy is None or policy.mode is not MeshOutboundMode.REGISTRY_ONLY


def exported(resource: Resource, exports: Sequence[str], caller: Caller, defaults: Sequence[str] = ()) -> bool:
    """Whether a caller may see the resource. exports: its `exportTo`; empty: the mesh's `defaults`, else everybody."""
    to = exports or defaults or ("*",)
    own = resource.ref.namespace == caller.namespace
    return "*" in to or caller.namespace in to or ("." in to and own)


def virtual_service(declared: Declared, caller: Caller, seen: Scope, host: str) -> Resource | None:
    """The one that routes the caller's requests for `host`: of the most specific host, there the nearest, there the oldest."""
    defaults = declared.config.default_virtual_service_export_to
    for key in (host, *wildcards(host)):
        fitting = [
            resource
            for resource in declared.virtual_services.get(key, ())
            if isinstance(resource.spec, VirtualService)
            and (not resource.spec.gateways or MESH_GATEWAY in resource.spec.gateways)
            and exported(resource, resource.spec.export_to, caller, defaults)
            and seen.sees(resource.ref.namespace, host)
        ]
        if fitting:
            return min(fitting, key=lambda r: (_distance(r, _exports(r) or defaults, caller), r.age))
    return None


def destination_rules(declared: Declared, caller: Caller, host: str, namespace: str) -> tuple[Resource, ...]:
    """Those that shape the caller's connections to `host`, a service of `namespace`: they are merged in this order.

    All come from one namespace, the caller's or else the service's or else the root one, and name the same host.
    """
    defaults = declared.config.default_destination_rule_export_to
    for space in dict.fromkeys((caller.namespace, namespace, declared.root_namespace)):
        for key in (host, *wildcards(host)):
            fitting = [
                rule
                for rule in declared.destination_rules.get(key, ())
                if isinstance(rule.spec, DestinationRule)
                and rule.ref.namespace == space
                and (space == caller.namespace or exported(rule, rule.spec.export_to, caller, defaults))
            ]
            selecting = [
                r
                for r in fitting
                if (labels := _rule_selector(r)) and space == caller.namespace and caller.fits(labels)
            ]
            if found := (*selecting, *(r for r in fitting if not _rule_selector(r))):
                return found
    return ()


def _exports(resource: Resource) -> Sequence[str]:
    return resource.spec.export_to if isinstance(resource.spec, VirtualService) else ()


def _distance(resource: Resource, exports: Sequence[str], caller: Caller) -> int:
    """Private ones come first, then those that name the caller's namespace, then public ones."""
    if "*" in exports or not exports:
        return 2
    return 0 if resource.ref.namespace == caller.namespace and "." in exports else 1


def _selector(resource: Resource) -> dict[str, str]:
    spec = resource.spec
    return dict(spec.workload_selector.labels) if isinstance(spec, Sidecar) and spec.workload_selector else {}


def _rule_selector(resource: Resource) -> dict[str, str]:
    spec = resource.spec
    return (
        dict(spec.workload_selector.match_labels)
        if isinstance(spec, DestinationRule) and spec.workload_selector
        else {}
    )
