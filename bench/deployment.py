"""Instances and a control plane that come and go while a benchmark goes on, and what their sidecars had to retry."""

from __future__ import annotations

import http.client
import socket
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.meshes import Mesh, Sidecar
from bench.processes import Failed, wait_for

_ADMIN_SECONDS = 10.0


@dataclass(frozen=True)
class Instance:
    """A running `tulle run` of a Python module. what: its service, the module and its arguments."""

    sidecar: Sidecar
    what: tuple[str, ...]
    mesh: Mesh

    def stop(self) -> None:
        """As a service manager does, until all of it is gone."""
        self.mesh.stop()


class Deployment:
    """Keeps what it has started in `running`, but for what is stopped. Each is a `Mesh` of its own on the same state."""

    def __init__(self, mesh: Mesh, stack: ExitStack) -> None:
        self.mesh = mesh
        self._stack = stack
        self._control_plane: Mesh | None = None
        self._running: list[Instance] = []
        self._started = 0

    @property
    def running(self) -> list[Instance]:
        return [instance for instance in self._running if instance.sidecar.folder.exists()]

    def control_plane(self) -> None:
        """Starts it; one that is there is stopped before."""
        if self._control_plane:
            self._control_plane.stop()
        self._control_plane = self._another()
        self._control_plane.up()

    def started(self, service: str, module: str, *arguments: str) -> Instance:
        """A new instance, once it is in rotation."""
        mesh = self._another()
        sidecar = mesh.run(service, sys.executable, "-m", module, *arguments)
        wait_for(f"{service} is in rotation", lambda: "calls reach it now" in mesh.said())
        instance = Instance(sidecar, (service, module, *arguments), mesh)
        self._running = [*self.running, instance]
        return instance

    def _another(self) -> Mesh:
        self._started += 1
        folder = self.mesh.folder / f"started-{self._started}"
        folder.mkdir()
        return Mesh(folder, self._stack, data=self.mesh.data)


def retries(sidecar: Sidecar) -> int:
    """How many calls its Envoy has made once more, since it was started."""
    answer = _admin(sidecar.folder / "admin.sock", "/stats?filter=upstream_rq_retry$")
    return sum(int(line.rpartition(":")[2]) for line in answer.splitlines() if line.strip())


def _admin(path: Path, target: str) -> str:
    """What Envoy says to a GET at its admin socket."""
    connection = http.client.HTTPConnection("admin")
    with socket.socket(socket.AF_UNIX) as connected:
        connected.settimeout(_ADMIN_SECONDS)
        connected.connect(str(path))
        connection.sock = connected
        connection.request("GET", target)
        response = connection.getresponse()
        said = response.read().decode()
    if response.status != 200:
        raise Failed(f"Envoy's admin says {response.status} {said}")
    return said
