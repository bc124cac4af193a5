"""The picture's parts. Each is frozen and hashable, so that equal parts are translated and encoded once.

Every part that becomes an Envoy resource says its own name; names that one part gives of another are names of this kind.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from tulle.ir.access import Access
from tulle.ir.authorizers import Authorizer
from tulle.ir.policies import DEFAULT, Balance, ConnectionPool, Policy
from tulle.ir.routes import HttpRoute, Weighted
from tulle.ir.telemetry import DEFAULT as DEFAULT_TELEMETRY
from tulle.ir.telemetry import Telemetry
from tulle.ir.tokens import Issuer
from tulle.model.mutual_tls import MutualTls
from tulle.model.names import Destination
from tulle.model.workload import Capture, Protocol


class Paths(StrEnum):
    """How a request's path is put into a normal form before anything looks at it (MeshConfig, `pathNormalization`)."""

    AS_IT_IS = "as_it_is"
    BASE = "base"  # RFC 3986: `..` and `.` are followed, a backslash is a slash
    MERGE_SLASHES = "merge_slashes"  # and several slashes are one
    DECODE_AND_MERGE_SLASHES = "decode_and_merge_slashes"  # and %2F and %5C are slashes


class Endpoint(Struct, frozen=True, order=True):
    """One instance behind a backend. A draining one finishes what it has and is given nothing new.

    address: an IP address, `unix://` and a path, or a name of DNS where the backend's discovery is by that.
    weight: its share, at least 1. plain: there is no sidecar at it. peer: what its workload is called
    (model/peer.py), "" if there is none.
    """

    address: str
    port: int
    draining: bool = False
    weight: int = 1
    plain: bool = False
    peer: str = ""


class Locality(Struct, frozen=True, order=True):
    """Endpoints of one place. priority: 0 first; the next when too few of those before are healthy.

    name: `region/zone/subzone`. weight: its share among those of its priority; 0 says nothing.
    """

    priority: int
    name: str
    endpoints: tuple[Endpoint, ...]
    weight: int = 0


class Discovery(StrEnum):
    """How a backend's endpoints are found."""

    MESH = "mesh"  # they are told by the control plane
    DNS = "dns"  # all addresses of its names
    DNS_ROUND_ROBIN = "dns_round_robin"  # one address of its name at a time
    DYNAMIC = "dynamic"  # DNS, by the host of each request
    ORIGINAL = "original"  # where the caller's connection was going


class Transport(StrEnum):
    """How endpoints are spoken to, before a policy's TLS."""

    MESH = "mesh"  # all have sidecars: mutual TLS and HTTP/2
    PLAIN = "plain"  # none has
    MIXED = "mixed"  # each as it is marked


class Backend(Struct, frozen=True):
    """One port of a service, or of one of its subsets, as a caller reaches it.

    identities: the SPIFFE ids of which a serving sidecar must prove one, sorted. tcp: bytes are carried as they are, a
    connection for each of the caller's, instead of HTTP. detected, telemetry_timeout: as BackendRef's.
    http2: its programs speak HTTP/2, for endpoints without sidecars.
    localities: where they are, for discovery by DNS; others are told as Endpoints.
    """

    destination: Destination
    identities: tuple[str, ...]
    tcp: bool = False
    subset: str = ""
    detected: bool = False
    http2: bool = False
    discovery: Discovery = Discovery.MESH
    transport: Transport = Transport.MESH
    localities: tuple[Locality, ...] = ()
    policy: Policy = DEFAULT
    telemetry_timeout: int = 0

    @property
    def told(self) -> bool:
        """Whether the control plane tells its endpoints; the others Envoy finds by itself."""
        return self.discovery is Discovery.MESH and self.policy.balancing.balance is not Balance.PASSTHROUGH

    @property
    def looked_up(self) -> bool:
        """Whether it is of no use before DNS has answered."""
        by_dns = self.discovery in (Discovery.DNS, Discovery.DNS_ROUND_ROBIN)
        return by_dns and self.policy.balancing.balance is not Balance.PASSTHROUGH


class Endpoints(Struct, frozen=True):
    """Who serves a backend now, sorted; empty when nobody does."""

    destination: Destination
    localities: tuple[Locality, ...]
    subset: str = ""
    detected: bool = False
    telemetry_timeout: int = 0


class Answer(StrEnum):
    """What a virtual host does with its requests."""

    ROUTE = "route"  # to the backend of the same destination
    TUNNEL = "tunnel"  # to the backend, which carries TCP: only by CONNECT, anything else is no HTTP service
    PASSTHROUGH = "passthrough"  # no service of the mesh: to wherever DNS says
    BLOCKED = "blocked"  # no service of the mesh, and nothing else may be called
    UNKNOWN = "unknown"  # the service has no such port
    REJECTED = "rejected"  # the proxy rejected the configuration of this destination


class VirtualHost(Struct, frozen=True):
    """What happens to the requests for one host and port.

    route_config: the outbound route configuration it belongs to.
    domains: the authorities it serves, each with the port as it is written.
    problem: what the caller is told where there is no backend. tunnels: whether callers may ask for tunnels (CONNECT).
    routes: in their order, for ROUTE; a request that none of them fits gets 404. tcp: to where tunnels lead, unless they carry
    HTTP for sure. grpc: whether its port says that programs speak HTTP/2 there, and so perhaps gRPC. is_known: whether the
    destination is a service, perhaps at another port, or a host that rules are for; else only a caller says that it is one.
    """

    route_config: str
    destination: Destination
    domains: tuple[str, ...]
    answer: Answer
    problem: str = ""
    tunnels: bool = True
    routes: tuple[HttpRoute, ...] = ()
    tcp: tuple[Weighted, ...] = ()
    grpc: bool = False
    is_known: bool = False


class Outbound(Struct, frozen=True):
    """Where a workload's own calls go in, and how they come there.

    ipv6: at ::1 as well. source: that of a connection that is taken, `address:port`; any if it is empty. paths: their form.
    passes: whether what is no matter of the mesh may go on, where the sidecar is the only way out. sources: the declared
    resources of which it is made, sorted.
    """

    route_config: str
    port: int
    capture: Capture
    ipv6: bool = False
    source: str = ""
    paths: Paths = Paths.BASE
    passes: bool = True
    telemetry: Telemetry = DEFAULT_TELEMETRY
    sources: tuple[str, ...] = ()


class OutboundRoutes(Struct, frozen=True):
    """Which of its HTTP calls are a matter of the mesh: names in `namespaces` and `hosts` (both sorted) are asked for.

    namespaces: None for any. hosts: those that are declared, `*.` before one for all beneath it; None for every name that
    there is. addresses: declared ones, which are asked for as well (sorted).
    The others pass through where the workload uses its sidecar as a proxy, unless passes is false; from one that connects
    to the addresses of services they are a mistake. port: as Outbound's; a call to it would come back for ever. proxy: the
    sidecar's id, with which it answers the canary.
    """

    route_config: str
    port: int
    namespaces: tuple[str, ...] | None
    capture: Capture
    proxy: str
    hosts: tuple[str, ...] | None = ()
    passes: bool = True
    addresses: tuple[str, ...] = ()


class TcpChain(Struct, frozen=True):
    """Where connections go that ask for one of these names by SNI, `*.` before one for all beneath it; any if there is none.

    No backends: they are closed at once. policy: that of the first of them, for the connection as a whole.
    lookup: the port of the host that the client asks for by SNI, where its only backend is that host; else 0.
    """

    backends: tuple[Weighted, ...] = ()
    sni: tuple[str, ...] = ()
    policy: Policy = DEFAULT
    lookup: int = 0


class TcpService(Struct, frozen=True):
    """Where a workload's connections to one port of a service go in that may not be HTTP: captured ones, for its address.

    chains: those with the most specific name first count; none where it is HTTP for sure, though its number says TCP.
    detect: for how many nanoseconds the first bytes are waited for, which may be HTTP after all, and then is routed as such;
    0 if it is known what they are. source: as Outbound's.
    """

    route_config: str
    destination: Destination
    vip: str
    chains: tuple[TcpChain, ...]
    detect: int = 0
    source: str = ""
    paths: Paths = Paths.BASE
    telemetry: Telemetry = DEFAULT_TELEMETRY


class InboundPort(Struct, frozen=True):
    """One service port of a workload: `target` on `address`, which is loopback, is where the program listens.

    pool: what is said of connections to the program, limits for all callers of this instance together.
    also: further destinations that it serves, sorted.
    """

    destination: Destination
    target: int
    protocol: Protocol
    address: str
    pool: ConnectionPool = ConnectionPool()
    also: tuple[Destination, ...] = ()
    mutual_tls: MutualTls = MutualTls.STRICT
    access: Access = Access()

    @property
    def is_limited(self) -> bool:
        """Whether a call may be one too many."""
        return (self.pool.max_connections, self.pool.max_pending_requests, self.pool.max_requests) != (None, None, None)


class Inbound(Struct, frozen=True):
    """Where calls to a workload come in: one port for all its service ports.

    trusted: with what the SPIFFE ids of callers begin. issuers: whose tokens requests may carry. authorizer: who decides
    on what a CUSTOM policy fits; None if there is none. revoked: subjects of certificates that must no longer count, also on
    connections that are open, as in Snapshot (sorted). sources: the declared
    resources of which it is made, sorted. redirected: whether connections to the program's own ports are led here as well.
    detect: for how many nanoseconds first bytes are waited for where plain text is taken; 0 where it is not.
    closing: whether plain text is taken only because callers may not know yet that they must use mutual TLS.
    """

    workload: str
    address: str
    port: int
    ports: tuple[InboundPort, ...]
    trusted: tuple[str, ...]
    paths: Paths = Paths.BASE
    issuers: tuple[Issuer, ...] = ()
    authorizer: Authorizer | None = None
    revoked: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    redirected: bool = False
    detect: int = 0
    closing: bool = False
    telemetry: Telemetry = DEFAULT_TELEMETRY

    @property
    def http_ports(self) -> tuple[InboundPort, ...]:
        """Those whose requests are read."""
        return tuple(port for port in self.ports if port.protocol not in (Protocol.TCP, Protocol.TLS))
