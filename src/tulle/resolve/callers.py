"""Who asks, as rules see it, and what rules may ask of the mesh. The mesh's side of it is `mesh_names`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from tulle.model.names import Destination
from tulle.model.resources.resource import Resource
from tulle.model.workload import Workload


class Caller(Struct, frozen=True):
    """labels: sorted. locality: `region/zone/subzone`, as much as is known."""

    namespace: str
    labels: tuple[tuple[str, str], ...] = ()
    locality: str = ""

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether it has all of these labels."""
        return labels.items() <= dict(self.labels).items()


def caller_of(workload: Workload) -> Caller:
    return Caller(workload.service.namespace, tuple(sorted(workload.tags.items())), workload.locality)


class Names(Protocol):
    def destination(self, host: str, namespace: str, port: int | None, listener_port: int) -> Destination | None:
        """What a host in a document of `namespace` names; None if that is no service that the caller may reach.

        A short name belongs to that namespace. No port: the service's only one, else `listener_port`.
        """

    def has_subset(self, destination: Destination, subset: str) -> bool:
        """Whether a DestinationRule that the caller goes by has such a subset of the destination's service."""


class Delegates(Protocol):
    def delegate(self, namespace: str, name: str, root_namespace: str) -> Resource | None:
        """The VirtualService of that namespace and name, if it is exported to `root_namespace`."""
