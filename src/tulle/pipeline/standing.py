"""What one proxy holds whatever its workloads call: their doors, and in which epoch those ask for names.

A change of the epoch means nothing but that Envoy asks for its names anew, see eviction.py.
"""

from __future__ import annotations

from tulle.ir.types import OutboundRoutes
from tulle.model.workload import Proxy
from tulle.pipeline.picture import Door, doors, standing
from tulle.resolve.index import Mesh
from tulle.xds.requests import Held
from tulle.xds.resources import RDS, Key, Resource
from tulle.xds.session import Session


class Standing:
    """The doors as last made, as a part of a session's wants."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._epoch = 0
        self._doors: dict[Door, tuple[Resource, ...]] = {}

    @property
    def keys(self) -> set[Key]:
        return {resource.key for made in self._doors.values() for resource in made}

    @property
    def route_configs(self) -> list[str]:
        return [name for kind, name in self.keys if kind == RDS]

    def refresh(self, mesh: Mesh, proxy: Proxy | None) -> None:
        """They depend on the proxy itself and on the mesh's names."""
        found = doors(mesh, proxy) if proxy else ()
        if found == tuple(self._doors):
            return
        self._open({door: self._doors.get(door) or standing(door, self._epoch) for door in found})

    def turn(self) -> None:
        """Another epoch begins."""
        self._epoch = 1 - self._epoch
        self._open(
            {
                door: standing(door, self._epoch) if isinstance(door, OutboundRoutes) else made
                for door, made in self._doors.items()
            }
        )

    def hold(self, event: Held) -> None:
        """Its route configuration may be of the other epoch, which is as good: a change would be an eviction of nothing."""
        for door in self._doors:
            for resource in standing(door, 1 - self._epoch):
                if resource.type_url == RDS and event.versions.get(resource.name) == resource.version:
                    self.turn()
                    return

    def _open(self, opened: dict[Door, tuple[Resource, ...]]) -> None:
        before, self._doors = self.keys, opened
        for key in before - self.keys:
            self._session.unwant(*key)
        for made in self._doors.values():
            for resource in made:
                self._session.want(resource)
