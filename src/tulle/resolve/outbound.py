"""Whom a workload reaches by the names that it uses, and who serves there now."""

from __future__ import annotations

from msgspec.structs import replace

from tulle.ir.types import (
    Answer,
    Backend,
    Endpoint,
    Endpoints,
    Locality,
    Outbound,
    OutboundRoutes,
    TcpService,
    VirtualHost,
)
from tulle.model.names import Destination, authorities
from tulle.model.workload import Capture, Health, Protocol, Proxy, Workload
from tulle.resolve.index import Instance, Mesh, Service

_MOST_PORTS = 20
_MOST_TEXT = 500


def route_config(workload: Workload) -> str:
    """The name of a workload's outbound route configuration; no slash in it, as VHDS names start with it and one."""
    return f"outbound.{workload.id}"


def outbound(proxy: Proxy, workload: Workload) -> Outbound:
    """Where the workload's calls go in."""
    return Outbound(route_config(workload), proxy.outbound_port, proxy.capture, proxy.ipv6, proxy.source)


def outbound_routes(mesh: Mesh, proxy: Proxy, workload: Workload) -> OutboundRoutes:
    """Which of the workload's calls are a matter of the mesh."""
    namespaces = sorted({*mesh.namespaces, workload.service.namespace})
    return OutboundRoutes(route_config(workload), proxy.outbound_port, tuple(namespaces), proxy.capture, proxy.id)


def virtual_host(mesh: Mesh, workload: Workload, destination: Destination, capture: Capture) -> VirtualHost:
    """What happens to a workload's requests for `destination`, whether or not the mesh has such a service.

    Of a name that the mesh does not know, the forms that only a mesh name can have (`….svc`, `….svc.cluster.local`) end
    here; the others may be hosts outside the mesh and go where DNS says, if the sidecar is used as a proxy.
    """
    domains = authorities(destination, workload.service.namespace)
    service = mesh.services.get(destination.service)
    answer, problem = Answer.ROUTE, ""
    if service is None:
        answer = Answer.UNKNOWN if capture.is_transparent else Answer.PASSTHROUGH
        problem = f"the mesh has no service {destination.service}"
    elif not offers(service, destination.port):
        answer = Answer.UNKNOWN
        problem = f"service {service.name} has no port {destination.port}; its ports: {_numbers(service)}"
    elif is_tcp(service, destination.port):
        answer = Answer.TUNNEL
        problem = (
            f"port {destination.port} of {service.name} carries TCP, not HTTP: connect to it with a client of its own"
        )
    return VirtualHost(
        route_config(workload), destination, domains, answer, problem, tunnels=not capture.is_transparent
    )


def rejected(host: VirtualHost, why: str) -> VirtualHost:
    """What is sent in place of a virtual host whose configuration the proxy has rejected.

    Shortened: Envoy takes no direct response of more than 4,096 bytes.
    """
    problem = f"this sidecar rejected the configuration of {host.destination}: {why[:_MOST_TEXT]}"
    return replace(host, answer=Answer.REJECTED, problem=problem)


def backend(mesh: Mesh, destination: Destination) -> Backend | None:
    """How a destination is reached; None if the mesh has no such service or the service no such port."""
    service = mesh.services.get(destination.service)
    if service is None or not offers(service, destination.port):
        return None
    return Backend(destination, service.identities, is_tcp(service, destination.port))


def tcp_service(mesh: Mesh, proxy: Proxy, workload: Workload, destination: Destination) -> TcpService | None:
    """Where a workload's captured connections to a destination go in; None if it is no TCP port of a service."""
    service = mesh.services.get(destination.service)
    if service is None or not service.vip or not is_tcp(service, destination.port):
        return None
    return TcpService(route_config(workload), destination, service.vip, proxy.source)


def endpoints(mesh: Mesh, destination: Destination) -> Endpoints:
    """Who serves a destination now: healthy instances, and draining ones marked as such."""
    service = mesh.services.get(destination.service)
    serving = [_endpoint(i) for i in service.instances if _serves(i, destination.port)] if service else []
    return Endpoints(destination, (Locality(0, "", tuple(sorted(serving))),) if serving else ())


def offers(service: Service, port: int) -> bool:
    """Whether the service has such a port."""
    return any(port == offered.number for offered in service.ports)


def is_tcp(service: Service, port: int) -> bool:
    """Whether the port carries TCP as it is."""
    return any(port == offered.number and offered.protocol is Protocol.TCP for offered in service.ports)


def _numbers(service: Service) -> str:
    numbers = [str(port.number) for port in service.ports[:_MOST_PORTS]]
    more = ["…"] if len(service.ports) > _MOST_PORTS else []
    return ", ".join([*numbers, *more]) or "none: its instances only call others"


def _serves(instance: Instance, port: int) -> bool:
    workload = instance.workload
    return workload.health in (Health.HEALTHY, Health.DRAINING) and any(p.number == port for p in workload.ports)


def _endpoint(instance: Instance) -> Endpoint:
    workload = instance.workload
    return Endpoint(instance.address, instance.port, workload.health is Health.DRAINING)
