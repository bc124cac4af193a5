"""The picture's parts. Each is frozen and hashable, so that equal parts are translated and encoded once.

Every part that becomes an Envoy resource says its own name; names that one part gives of another are names of this kind.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from tulle.model.names import Destination
from tulle.model.workload import Capture, Protocol


class Endpoint(Struct, frozen=True, order=True):
    """One instance behind a backend. A draining one finishes what it has and is given nothing new."""

    address: str
    port: int
    draining: bool = False


class Backend(Struct, frozen=True):
    """The instances of one port of a service, as a caller reaches them: mTLS and HTTP/2 to their sidecars.

    identities: the SPIFFE ids of which a serving sidecar must prove one, sorted. tcp: bytes are carried as they are, a
    connection for each of the caller's, instead of HTTP/2.
    """

    destination: Destination
    identities: tuple[str, ...]
    tcp: bool = False


class Endpoints(Struct, frozen=True):
    """Who serves a backend now, sorted; empty when nobody does."""

    destination: Destination
    endpoints: tuple[Endpoint, ...]


class Answer(StrEnum):
    """What a virtual host does with its requests."""

    ROUTE = "route"  # to the backend of the same destination
    TUNNEL = "tunnel"  # to the backend, which carries TCP: only by CONNECT, anything else is no HTTP service
    PASSTHROUGH = "passthrough"  # no service of the mesh: to wherever DNS says
    UNKNOWN = "unknown"  # the service has no such port
    REJECTED = "rejected"  # the proxy rejected the configuration of this destination


class VirtualHost(Struct, frozen=True):
    """What happens to the requests for one host and port.

    route_config: the outbound route configuration it belongs to.
    domains: the authorities it serves, each with the port as it is written.
    problem: what the caller is told where there is no backend. tunnels: whether callers may ask for tunnels (CONNECT).
    """

    route_config: str
    destination: Destination
    domains: tuple[str, ...]
    answer: Answer
    problem: str = ""
    tunnels: bool = True


class Outbound(Struct, frozen=True):
    """Where a workload's own calls go in, and how they come there.

    ipv6: at ::1 as well. source: that of a connection that is taken, `address:port`; any if it is empty.
    """

    route_config: str
    port: int
    capture: Capture
    ipv6: bool = False
    source: str = ""


class OutboundRoutes(Struct, frozen=True):
    """Which of its HTTP calls are a matter of the mesh: names in `namespaces` (sorted) are asked for.

    The others pass through where the workload uses its sidecar as a proxy; from one that connects to the addresses of
    services they are a mistake. port: as Outbound's; a call to it would come back for ever. proxy: the sidecar's id,
    with which it answers the canary.
    """

    route_config: str
    port: int
    namespaces: tuple[str, ...]
    capture: Capture
    proxy: str


class TcpService(Struct, frozen=True):
    """Where a workload's connections to one TCP port of a service go in: captured ones, for the service's address.

    source: as Outbound's.
    """

    route_config: str
    destination: Destination
    vip: str
    source: str = ""


class InboundPort(Struct, frozen=True, order=True):
    """One service port of a workload: `target` on `address`, which is loopback, is where the program listens."""

    destination: Destination
    target: int
    protocol: Protocol
    address: str


class Inbound(Struct, frozen=True):
    """Where calls to a workload come in: one port for all its service ports, mTLS only."""

    workload: str
    address: str
    port: int
    ports: tuple[InboundPort, ...]
