"""The mesh as one value (index.py makes it), and what can differ between two."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from tulle.model.names import Destination, ServiceName
from tulle.model.resources.resource import Resource
from tulle.model.snapshot import KnownPort, KnownService
from tulle.model.workload import Proxy, Workload
from tulle.resolve.access.plain_text import Plain
from tulle.resolve.declared import Declared

Member = tuple[str, str]  # of a service: the ids of proxy and workload, the latter being one proxy's own matter


class Instance(Struct, frozen=True):
    """A workload, the proxy that is its sidecar, and where that takes calls for it."""

    proxy: str
    address: str
    port: int
    workload: Workload


class Service(Struct, frozen=True):
    """A service: what it offers, who may serve it, and who does. All tuples are sorted. vip: as KnownService's.

    entries: the ServiceEntries of its host, the oldest first; ports and identities are those of instances alone. selected,
    chosen: the WorkloadEntries with their WorkloadGroups, and the instances of whatever services, that some of these
    entries select.
    """

    name: ServiceName
    ports: tuple[KnownPort, ...] = ()
    identities: tuple[str, ...] = ()
    instances: tuple[Instance, ...] = ()
    vip: str = ""
    entries: tuple[Resource, ...] = ()
    selected: tuple[Resource, ...] = ()
    chosen: tuple[Instance, ...] = ()


class Mesh(Struct, frozen=True):
    """Everything that is known as of `revision`. The mappings are never changed in place.

    callers: the inverse of `callees`, per service all services that are known to call it. hosts: those that are declared
    and are no names of the mesh, sorted. addresses: single IPv4 ones that ServiceEntries declare, and of which host.
    key_sets: as Snapshot's. revoked: subjects of certificates that must no longer count, sorted.
    plain: instances of which policies say that they are called in plain text alone, each with these policies (sorted).
    sampling: percent of the traces that begin in it of which spans are told, where no document says it. b3: as Tracing's.
    opening, closing: those of them whose doors are not known to take it yet; and those that are none any more, and whose callers
    may not know it yet. See pipeline/turning.py.
    """

    revision: int = 0
    proxies: Mapping[str, Proxy] = {}
    known: Mapping[ServiceName, KnownService] = {}
    services: Mapping[ServiceName, Service] = {}
    callees: Mapping[ServiceName, tuple[Destination, ...]] = {}
    callers: Mapping[ServiceName, frozenset[ServiceName]] = {}
    namespaces: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    declared: Declared = Declared()
    addresses: Mapping[str, ServiceName] = {}
    key_sets: Mapping[str, str] = {}
    revoked: tuple[str, ...] = ()
    plain: Plain = {}
    opening: frozenset[Member] = frozenset()
    closing: frozenset[Member] = frozenset()
    sampling: float = 1.0
    b3: bool = False


class Changed(Struct, frozen=True):
    """The names whose values differ between two meshes.

    services: what they offer or who may serve them changed, or the rules for their hosts, or they came or went; endpoints:
    only who serves them now. proxies: also those whose workloads newly serve something else, or do no more.
    wildcards: hosts (`*.example.com`) for all beneath which rules changed. names: whether `namespaces`, `hosts` or `addresses`
    did. scopes: namespaces whose Sidecars or Telemetries changed. policed: namespaces whose policies changed; all, if the
    root namespace is among them. everything: what is said for the whole mesh.
    """

    services: frozenset[ServiceName] = frozenset()
    endpoints: frozenset[ServiceName] = frozenset()
    proxies: frozenset[str] = frozenset()
    names: bool = False
    wildcards: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    policed: frozenset[str] = frozenset()
    everything: bool = False
