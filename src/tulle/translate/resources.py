"""The picture's parts as named, encoded xDS resources, each with what must be there before it.

`requires` is what makes every change make-before-break: a virtual host goes out only when its cluster and endpoints have.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from tulle.envoy_api.messages import encode
from tulle.ir.types import Answer, Backend, Endpoints, Inbound, Outbound, OutboundRoutes, TcpService, VirtualHost
from tulle.model.workload import Capture
from tulle.translate import (
    backend_clusters,
    clusters,
    endpoints,
    inbound_listener,
    inbound_routes,
    listeners,
    look_ups,
    names,
    routes,
)
from tulle.xds.resources import CDS, EDS, LDS, RDS, SDS, VHDS, Key, Resource, resource

_PASSTHROUGH = ((CDS, names.PASSTHROUGH),)


def backend(value: Backend) -> Resource:
    """A cluster; the same for every caller."""
    cluster = backend_clusters.backend_cluster(value)
    return _resource(CDS, look_ups.announced(cluster, value) if value.looked_up else cluster)


def load_assignment(value: Endpoints) -> Resource:
    """Its endpoints; the same for every caller."""
    message = endpoints.load_assignment(value)
    return resource(EDS, message.cluster_name, encode(message))


def looked_up(value: Backend) -> Resource:
    """What a sidecar asks for when it has looked the backend up."""
    return _resource(SDS, look_ups.secret(value))


def virtual_host(value: VirtualHost, asked: tuple[str, ...], requires: tuple[Key, ...] = ()) -> Resource:
    """What a caller asked for; `asked`: every VHDS name, verbatim, that this answers. requires: its backends."""
    if value.answer is Answer.PASSTHROUGH:
        requires = _PASSTHROUGH
    return _resource(VHDS, routes.virtual_host(value), requires, asked)


def tcp_service(value: TcpService, requires: tuple[Key, ...]) -> Resource:
    """Where a caller's connections to a TCP port go in. requires: its backends."""
    return _resource(LDS, listeners.tcp_listener(value), requires)


def no_virtual_host(asked: str) -> Resource:
    """The answer to a VHDS name that can be nothing in the mesh."""
    return Resource(VHDS, asked, aliases=(asked,))


def outbound(value: Outbound) -> tuple[Resource, ...]:
    """The outbound door; none where nothing is captured."""
    if value.capture is Capture.NONE:
        return ()
    if value.capture is Capture.PROXY:
        inner = _resource(LDS, listeners.tunnel_listener(value))
        tunnels = _resource(CDS, clusters.tunnel_cluster(value.route_config))
        return (tunnels, inner, _resource(LDS, listeners.outbound_listener(value), ((CDS, tunnels.name),)))
    if value.capture is Capture.NETNS:
        out = _resource(CDS, clusters.way_out_cluster())
        return (out, _resource(LDS, listeners.outbound_listener(value), ((CDS, out.name),)))
    return (_resource(LDS, listeners.outbound_listener(value)),)


def outbound_routes(value: OutboundRoutes, epoch: int = 0) -> tuple[Resource, ...]:
    """The routes of that door, and for a proxy the way out of the mesh. epoch: 0 or 1, see routes.route_configuration."""
    if value.capture is Capture.NONE:
        return ()
    initial = _resource(VHDS, routes.initial_virtual_host(value.route_config))
    if value.capture.is_transparent:
        return (_resource(RDS, routes.route_configuration(value, epoch)), initial)
    return (_passthrough(), _resource(RDS, routes.route_configuration(value, epoch), _PASSTHROUGH), initial)


@cache
def _passthrough() -> Resource:
    """The same for everyone."""
    return _resource(CDS, clusters.passthrough_cluster())


def inbound(value: Inbound, needs: tuple[Key, ...] = ()) -> tuple[Resource, ...]:
    """The inbound door and the program behind it. needs: what leads to the service that decides on requests."""
    programs = {
        port: [_resource(CDS, cluster) for cluster in clusters.program_clusters(value.workload, port)]
        for port in value.ports
    }
    # Envoy asks for a listener's routes when it has the listener, and takes no connection before it has them.
    reached = [
        _resource(RDS, inbound_routes.inbound_routes(value, port), _keys(programs[port])) for port in value.http_ports
    ]
    behind = [program for made in programs.values() for program in made]
    return (*behind, _resource(LDS, inbound_listener.inbound_listener(value), (*_keys(behind), *needs)), *reached)


def _keys(made: Iterable[Resource]) -> tuple[Key, ...]:
    return tuple(one.key for one in made)


def _resource(type_url: str, message: Any, requires: tuple[Key, ...] = (), aliases: tuple[str, ...] = ()) -> Resource:
    return resource(type_url, message.name, encode(message), aliases=aliases, requires=requires)
