"""A mesh as the control plane keeps it, and sidecars that speak to it without the wire."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from envoy_like import EnvoyLike
from tulle.control_plane.mesh import LiveMesh
from tulle.control_plane.timeline import Timeline
from tulle.xds.requests import Request


class Sidecar(EnvoyLike):
    """error: why it refuses what it refuses."""

    def __init__(self, mesh: LiveMesh, proxy: str, refuses: frozenset[str] = frozenset(), error: str = "no") -> None:
        self._mesh, self._error = mesh, error
        super().__init__(mesh.hub, proxy, refuses)

    def _request(self, request: Request) -> None:
        self._mesh.receive(self.view, replace(request, error=self._error) if request.error else request)


@pytest.fixture
def mesh() -> LiveMesh:
    return LiveMesh(Timeline(time.time))


@pytest.fixture
def connect(mesh: LiveMesh) -> Callable[..., EnvoyLike]:
    """A proxy's Envoy comes: `Sidecar` without the mesh."""
    return lambda *args, **kwargs: Sidecar(mesh, *args, **kwargs)
