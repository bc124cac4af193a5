"""What one proxy holds whatever its workloads call: their doors, and in which epoch those ask for names.

A change of the epoch means nothing but that Envoy asks for its names anew, see eviction.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from tulle.ir.types import Inbound, Outbound, OutboundRoutes
from tulle.model.workload import Proxy
from tulle.pipeline.mistakes import Mistakes
from tulle.pipeline.needing import Needing
from tulle.pipeline.picture import DOORS, Door, made_of, standing
from tulle.resolve.mesh import Mesh
from tulle.xds.requests import Held
from tulle.xds.resources import RDS, Key, Resource
from tulle.xds.session import Session


class Standing:
    """The doors as last made, as a part of a session's wants. One that can't be made stays as it is."""

    def __init__(self, session: Session, mistakes: Mistakes, needing: Needing) -> None:
        self._session = session
        self._mistakes = mistakes
        self._needing = needing
        self._needs: dict[str, tuple[Key, ...]] = {}  # by words as well
        self._epoch = 0
        self._doors: dict[str, tuple[Door, tuple[Resource, ...]]] = {}  # by words for it
        self._missing = False

    @property
    def keys(self) -> set[Key]:
        return {resource.key for _, made in self._doors.values() for resource in made}

    @property
    def complete(self) -> bool:
        """Whether all could be made, now or once."""
        return not self._missing

    @property
    def route_configs(self) -> list[str]:
        """Of the ways out, whose virtual hosts are asked for."""
        return [
            resource.name
            for door, made in self._doors.values()
            for resource in made
            if isinstance(door, OutboundRoutes) and resource.type_url == RDS
        ]

    @property
    def sources(self) -> Iterator[tuple[str, tuple[Key, ...]]]:
        """The declared resources of which they are made, and what of each."""
        for door, made in self._doors.values():
            yield from made_of(door, made)

    @property
    def closing(self) -> set[Key]:
        """Of doors that are to be closed for plain text once all callers know."""
        return {resource.key for _, made in self._closing for resource in made}

    @property
    def closing_sources(self) -> set[str]:
        """The declared resources of which these are made."""
        return {source for door, _ in self._closing for source in door.sources}

    @property
    def _closing(self) -> Iterator[tuple[Inbound, tuple[Resource, ...]]]:
        for door, made in self._doors.values():
            if isinstance(door, Inbound) and door.closing:
                yield door, made

    def refresh(self, mesh: Mesh, proxy: Proxy | None) -> None:
        """They depend on the proxy itself, on the mesh's names, and on policies, keys and revoked certificates."""
        found: dict[str, tuple[Door, tuple[Resource, ...]]] = {}
        missing = False
        for workload in proxy.workloads if proxy else ():
            for kind, resolved in DOORS.items():
                part = f"{kind} of {workload.id}"
                before = self._doors.get(part)
                try:
                    door = resolved(mesh, proxy, workload) if proxy else None
                    if door is not None:
                        needs = () if isinstance(door, OutboundRoutes) else self._needing.needs(mesh, workload, door)
                        same = before is not None and before[0] == door and needs == self._needs.get(part)
                        found[part] = before if before and same else (door, standing(door, self._epoch, needs))
                        self._needs[part] = needs
                    self._mistakes.mended(part)
                except Exception as error:
                    self._mistakes.note(part, error)
                    if before is not None:
                        found[part] = before
                    missing = missing or before is None
        self._missing = missing
        for part in self._doors.keys() - found.keys():
            self._mistakes.mended(part)
        self._needing.keep(door for door, _ in found.values() if isinstance(door, Inbound | Outbound))
        if found != self._doors:
            self._open(found)

    def turn(self) -> None:
        """Another epoch begins."""
        epoch = 1 - self._epoch
        opened = {
            part: (door, standing(door, epoch) if isinstance(door, OutboundRoutes) else made)
            for part, (door, made) in self._doors.items()
        }
        self._epoch = epoch
        self._open(opened)

    def hold(self, event: Held) -> None:
        """Its route configuration may be of the other epoch, which is as good: a change would be an eviction of nothing."""
        for door, _ in self._doors.values():
            for resource in standing(door, 1 - self._epoch) if isinstance(door, OutboundRoutes) else ():
                if resource.type_url == RDS and event.versions.get(resource.name) == resource.version:
                    self.turn()
                    return

    def _open(self, opened: dict[str, tuple[Door, tuple[Resource, ...]]]) -> None:
        before, self._doors = self.keys, opened
        for key in before - self.keys:
            self._session.unwant(*key)
        for _, made in self._doors.values():
            for resource in made:
                self._session.want(resource)
