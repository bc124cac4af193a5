"""What is told of a workload's calls, on each of its sides: its own (client) and those to it (server)."""

from __future__ import annotations

from msgspec import Struct

from tulle.ir.telemetry import Telemetry
from tulle.model.peer import peer_of
from tulle.model.resources.mesh_config import MeshConfig
from tulle.model.resources.telemetry import WorkloadMode
from tulle.model.workload import Workload
from tulle.resolve.callers import caller_of
from tulle.resolve.mesh import Mesh
from tulle.resolve.telemetry.applicable import applicable
from tulle.resolve.telemetry.logs import logs
from tulle.resolve.telemetry.metrics import metrics
from tulle.resolve.telemetry.tracing import tracing


class Sides(Struct, frozen=True):
    """sources: the documents of which they are made, sorted."""

    client: Telemetry
    server: Telemetry
    sources: tuple[str, ...] = ()


def sides(mesh: Mesh, workload: Workload) -> Sides:
    found = applicable(mesh.declared, workload)
    caller, peer = caller_of(workload), peer_of(workload)
    said = tuple(spec for _, spec in found)

    def side(mode: WorkloadMode) -> Telemetry:
        return Telemetry(
            metrics(mesh.declared.config, said, mode),
            logs(mesh, caller, said, mode),
            tracing(mesh, caller, said, mode),
            f"{peer.service}.{peer.namespace}",
        )

    sources = {str(resource.ref) for resource, _ in found}
    if mesh.declared.mesh_config is not None and _speaks_of_telemetry(mesh.declared.config):
        sources.add(str(mesh.declared.mesh_config.ref))
    return Sides(side(WorkloadMode.CLIENT), side(WorkloadMode.SERVER), tuple(sorted(sources)))


def _speaks_of_telemetry(config: MeshConfig) -> bool:
    tracing = config.default_config.tracing if config.default_config else None
    return bool(config.access_log_file or config.default_providers or tracing or config.enable_tracing is False)
