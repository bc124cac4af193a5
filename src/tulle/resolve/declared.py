"""What users declared, found by what it is about. `apply` costs what changed, plus a copy of each mapping that it touches.

A VirtualService counts for its hosts, and, where others delegate to it, for theirs; a WorkloadEntry for the hosts whose
ServiceEntry selects it. Who may see what is left to `rules`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from tulle.model.resources.authorization_policy import AuthorizationPolicy
from tulle.model.resources.destination_rule import DestinationRule
from tulle.model.resources.mesh_config import MeshConfig
from tulle.model.resources.peer_authentication import MutualTLSMode, PeerAuthentication
from tulle.model.resources.request_authentication import RequestAuthentication
from tulle.model.resources.resource import MESH_CONFIG_NAME, Ref, Resource
from tulle.model.resources.service_entry import ServiceEntry
from tulle.model.resources.sidecar import Sidecar
from tulle.model.resources.telemetry import Telemetry
from tulle.model.resources.virtual_service import VirtualService
from tulle.model.resources.workload_entry import WorkloadEntry
from tulle.resolve.hosts import full
from tulle.resolve.selecting import selecting
from tulle.resolve.workload_entries import completed, group_of

# Istio's own, where nothing else is said (MeshConfig, `rootNamespace`).
ROOT_NAMESPACE = "istio-system"

Index = Mapping[str, tuple[Resource, ...]]
_Facet = tuple[str, str]  # an index, and a key of it


class Declared(Struct, frozen=True):
    """Resources by fully qualified host or by namespace, the oldest first.

    roots: what delegates to a VirtualService, by `namespace/name` of that. selecting: the ServiceEntries that select
    workloads, by namespace. policies: those of `security.istio.io`, by namespace. disabling: namespaces of those that switch
    mutual TLS off somewhere, so that nobody looks for them elsewhere.
    telemetries: by namespace. mesh_config: the mesh's only one, or none.
    """

    resources: Mapping[Ref, Resource] = {}
    virtual_services: Index = {}
    destination_rules: Index = {}
    service_entries: Index = {}
    roots: Index = {}
    workload_entries: Index = {}
    selecting: Index = {}
    sidecars: Index = {}
    policies: Index = {}
    telemetries: Index = {}
    disabling: frozenset[str] = frozenset()
    mesh_config: Resource | None = None

    @property
    def config(self) -> MeshConfig:
        """What is said for the whole mesh."""
        spec = self.mesh_config.spec if self.mesh_config else None
        return spec if isinstance(spec, MeshConfig) else MeshConfig()

    @property
    def root_namespace(self) -> str:
        """Whose rules hold for all namespaces."""
        return self.config.root_namespace or ROOT_NAMESPACE

    def get(self, kind: str, namespace: str, name: str) -> Resource | None:
        return self.resources.get(Ref(kind, namespace, name))


class Touched(Struct, frozen=True):
    """What resources that changed are about.

    hosts: fully qualified, wildcards too. entries: those of them of which another ServiceEntry, or another endpoint of one,
    is declared. namespaces: of Sidecars and Telemetries. policed: namespaces of policies; peers: of those which say
    who must use mutual TLS. everything: what is said for the whole mesh.
    """

    hosts: frozenset[str] = frozenset()
    entries: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    policed: frozenset[str] = frozenset()
    peers: frozenset[str] = frozenset()
    everything: bool = False


def apply(declared: Declared, changes: Mapping[Ref, Resource | None]) -> tuple[Declared, Touched]:
    """What is declared after some resources came, changed or went (None)."""
    if not changes:
        return declared, Touched()
    resources = dict(declared.resources)
    lost: defaultdict[_Facet, set[Ref]] = defaultdict(set)
    come: defaultdict[_Facet, list[Resource]] = defaultdict(list)
    for ref, now in changes.items():
        before = resources.pop(ref, None)
        if now is not None:
            resources[ref] = now
        for facet in _facets(before) if before else ():
            lost[facet].add(ref)
        for facet in _facets(now) if now else ():
            come[facet].append(now)  # type: ignore[arg-type]
    about = {*lost, *come}
    indexes = _indexes(declared, about, lost, come)
    config = declared.mesh_config
    if any(ref.kind == "MeshConfig" for ref in changes):
        found = [r for ref, r in resources.items() if ref.kind == "MeshConfig"]
        config = min(found, key=lambda r: (r.ref.name != MESH_CONFIG_NAME, r.age), default=None)
    after = replace(declared, resources=resources, mesh_config=config, **indexes)
    if any(ref.kind == "PeerAuthentication" for ref in changes):
        after = replace(after, disabling=frozenset(space for space, found in after.policies.items() if _disable(found)))
    return after, _touched(declared, after, changes, about)


def _indexes(
    declared: Declared, about: Iterable[_Facet], lost: Mapping[_Facet, set[Ref]], come: Mapping[_Facet, list[Resource]]
) -> dict[str, dict[str, tuple[Resource, ...]]]:
    """The indexes that change, each key of them sorted once."""
    found: dict[str, dict[str, tuple[Resource, ...]]] = {}
    for facet in about:
        index, key = facet
        if index not in found:
            found[index] = dict(getattr(declared, index))
        gone = lost.get(facet, ())
        stayed = [one for one in found[index].get(key, ()) if one.ref not in gone]
        if there := sorted((*stayed, *come.get(facet, ())), key=lambda one: one.age):
            found[index][key] = tuple(there)
        else:
            found[index].pop(key, None)
    return found


def _facets(resource: Resource) -> Iterator[_Facet]:
    """Where it is found."""
    namespace, spec = resource.ref.namespace, resource.spec
    if isinstance(spec, VirtualService):
        for host in dict.fromkeys(full(host, namespace) for host in spec.hosts):
            yield "virtual_services", host
        for delegate in dict.fromkeys(route.delegate for route in spec.http if route.delegate):
            yield "roots", f"{delegate.namespace or namespace}/{delegate.name}"
    elif isinstance(spec, DestinationRule):
        yield "destination_rules", full(spec.host, namespace)
    elif isinstance(spec, ServiceEntry):
        for host in dict.fromkeys(host.lower() for host in spec.hosts):
            yield "service_entries", host
        if spec.workload_selector is not None:
            yield "selecting", namespace
    elif isinstance(spec, WorkloadEntry):
        yield "workload_entries", namespace
    elif isinstance(spec, Sidecar):
        yield "sidecars", namespace
    elif isinstance(spec, PeerAuthentication | RequestAuthentication | AuthorizationPolicy):
        yield "policies", namespace
    elif isinstance(spec, Telemetry):
        yield "telemetries", namespace


def _disable(policies: Iterable[Resource]) -> bool:
    """Whether mutual TLS is switched off by any of them."""
    said = (
        mtls
        for policy in policies
        if isinstance(policy.spec, PeerAuthentication)
        for mtls in (policy.spec.mtls, *policy.spec.port_level_mtls.values())
    )
    return any(mtls is not None and mtls.mode is MutualTLSMode.DISABLE for mtls in said)


def _touched(before: Declared, after: Declared, changes: Mapping[Ref, Resource | None], about: set[_Facet]) -> Touched:
    hosts = {key for index, key in about if index in ("virtual_services", "destination_rules")}
    entries = {key for index, key in about if index == "service_entries"}
    for ref in changes:
        if ref.kind == "VirtualService":  # those who delegate to it
            roots = (
                *before.roots.get(f"{ref.namespace}/{ref.name}", ()),
                *after.roots.get(f"{ref.namespace}/{ref.name}", ()),
            )
            hosts.update(key for root in roots for index, key in _facets(root) if index == "virtual_services")
    for entry in selecting(after.selecting, _labels_of_changed(before, after, changes)):
        entries.update(key for name, key in _facets(entry) if name == "service_entries")
    return Touched(
        frozenset(hosts | entries),
        frozenset(entries),
        frozenset(key for index, key in about if index in ("sidecars", "telemetries")),
        frozenset(key for index, key in about if index == "policies"),
        frozenset(ref.namespace for ref in changes if ref.kind == "PeerAuthentication"),
        before.config is not after.config and before.config != after.config,
    )


def _labels_of_changed(
    before: Declared, after: Declared, changes: Mapping[Ref, Resource | None]
) -> dict[str, list[Mapping[str, str]]]:
    """Of WorkloadEntries that changed, or whose WorkloadGroup did, the labels that they had and have; by namespace."""
    groups = {ref for ref in changes if ref.kind == "WorkloadGroup"}
    spaces = {ref.namespace for ref in groups}
    found: defaultdict[str, list[Mapping[str, str]]] = defaultdict(list)
    for declared in (before, after):
        touched = [one for ref in changes if ref.kind == "WorkloadEntry" and (one := declared.resources.get(ref))]
        for space in spaces:
            touched += (one for one in declared.workload_entries.get(space, ()) if group_of(one) in groups)
        for one in touched:
            found[one.ref.namespace].append(completed(one, declared.resources).labels)
    return found
