"""What sources tell: the facts from which the mesh is resolved.

A source's first snapshot is complete, each later one holds what has changed since; None means gone. Applying them in order
gives the same mesh as reading everything anew.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from tulle.model.names import Destination, ServiceName
from tulle.model.resources.resource import Ref, Resource
from tulle.model.workload import Protocol, Proxy


class KnownPort(Struct, frozen=True, order=True):
    """A service port that some instance has offered."""

    number: int
    protocol: Protocol
    name: str = ""


class KnownService(Struct, frozen=True):
    """What the mesh remembers of a service when none of its instances is alive: callers then get a clear answer.

    ports, identities (SPIFFE ids of its workloads): sorted. vip: the address on loopback that stands for the service
    wherever programs know it by an address; "" until it has one.
    """

    service: ServiceName
    ports: tuple[KnownPort, ...]
    identities: tuple[str, ...]
    vip: str = ""


class Snapshot(Struct, frozen=True):
    """Facts as of `revision`.

    callees: per calling service all destinations that it is known to call, sorted. resources: what users declared.
    key_sets: JSON Web Key Sets (RFC 7517, section 5) as fetched, by the URI from which they are (`keys_at`).
    revoked: subjects of certificates that must no longer count (RFC 2253: `CN=web-3fa2c1`), sorted; None: as before.
    """

    revision: int
    proxies: Mapping[str, Proxy | None] = {}
    services: Mapping[ServiceName, KnownService | None] = {}
    callees: Mapping[ServiceName, tuple[Destination, ...]] = {}
    resources: Mapping[Ref, Resource | None] = {}
    key_sets: Mapping[str, str | None] = {}
    revoked: tuple[str, ...] | None = None
