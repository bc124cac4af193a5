"""What a workload takes in, and on which door."""

from __future__ import annotations

from collections.abc import Iterable

from tulle.ir.policies import ConnectionPool
from tulle.ir.routes import BackendRef
from tulle.ir.types import Inbound, InboundPort, Paths
from tulle.model.mutual_tls import MutualTls
from tulle.model.names import Destination
from tulle.model.resources.mesh_config import MeshConfig, NormalizationType
from tulle.model.resources.sidecar import Sidecar
from tulle.model.spiffe import WORKLOAD_PREFIX, workload_prefix
from tulle.model.workload import Capture, Proxy, Workload
from tulle.resolve import backends, rules
from tulle.resolve.access import authorization, authorizer, tokens
from tulle.resolve.access.mutual_tls import modes, port_modes
from tulle.resolve.callers import caller_of
from tulle.resolve.connection_pools import connection_pool
from tulle.resolve.detection import INBOUND, detection_time
from tulle.resolve.entries import also_served
from tulle.resolve.mesh import Mesh
from tulle.resolve.telemetry.sides import sides

# Istio's DEFAULT is BASE today (ProxyPathNormalization).
_PATHS = {
    NormalizationType.DEFAULT: Paths.BASE,
    NormalizationType.NONE: Paths.AS_IT_IS,
    NormalizationType.BASE: Paths.BASE,
    NormalizationType.MERGE_SLASHES: Paths.MERGE_SLASHES,
    NormalizationType.DECODE_AND_MERGE_SLASHES: Paths.DECODE_AND_MERGE_SLASHES,
}


def inbound(mesh: Mesh, proxy: Proxy, workload: Workload) -> Inbound | None:
    """The workload's door for calls from the mesh; None for a workload that offers no port."""
    also = also_served(mesh, workload)
    policies = authorization.policies(mesh, workload)
    said = modes(mesh.declared, workload)
    by_port = port_modes(said, workload)
    closing = (proxy.id, workload.id) in mesh.closing
    if closing:
        by_port = {
            number: MutualTls.PERMISSIVE if mode is MutualTls.STRICT else mode for number, mode in by_port.items()
        }
    ports = tuple(
        InboundPort(
            Destination(workload.service, port.number),
            port.target,
            port.protocol,
            port.address,
            _pool(mesh, workload, port.number),
            tuple(sorted(destination for destination, target in also.items() if target == port)),
            access=authorization.access(policies, workload, port),
            mutual_tls=by_port[port.number],
        )
        for port in sorted(workload.ports)
    )
    if not ports:
        return None
    config, told = mesh.declared.config, sides(mesh, workload)
    plain = any(port.mutual_tls is not MutualTls.STRICT for port in ports)
    return Inbound(
        workload.id,
        proxy.address,
        proxy.inbound_port,
        ports,
        trusted=(WORKLOAD_PREFIX, *map(workload_prefix, config.trust_domain_aliases)),
        paths=paths(config),
        issuers=tokens.issuers(mesh, workload),
        authorizer=authorizer.authorizer(mesh, workload, policies),
        revoked=mesh.revoked,
        sources=_sources(
            said.sources, (policy.source for policy in policies), tokens.sources(mesh, workload), told.sources
        ),
        closing=closing,
        redirected=plain and proxy.capture is Capture.REDIRECT,
        detect=detection_time(config, INBOUND) if plain else 0,
        telemetry=told.server,
    )


def _sources(*several: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({source for some in several for source in some}))


def paths(config: MeshConfig) -> Paths:
    """The form of paths, in and out."""
    said = config.path_normalization
    return _PATHS[said.normalization if said else NormalizationType.DEFAULT]


def _pool(mesh: Mesh, workload: Workload, port: int) -> ConnectionPool:
    """The Sidecar's `inboundConnectionPool`, else what the DestinationRule of the service itself says to its callers."""
    caller = caller_of(workload)
    chosen = rules.scope(mesh.declared, caller).sidecar
    spec = chosen.spec if chosen else None
    if isinstance(spec, Sidecar) and spec.inbound_connection_pool is not None:
        return connection_pool(spec.inbound_connection_pool, None)
    basis = backends.basis(mesh, caller, BackendRef(Destination(workload.service, port)))
    return _limits(backends.policy(basis).pool) if basis and basis.rules else ConnectionPool()


def _limits(pool: ConnectionPool) -> ConnectionPool:
    """What of it is about how much may be under way; lengths of time are between caller and sidecar."""
    return ConnectionPool(
        max_connections=pool.max_connections,
        max_pending_requests=pool.max_pending_requests,
        max_requests=pool.max_requests,
    )
