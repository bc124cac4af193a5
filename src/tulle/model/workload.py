"""What is alive: proxies and the workloads that they serve.

One Envoy may one day serve several workloads of a host, so a proxy and a workload are two types. Both live under one lease
of the agent that looks after them.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from tulle.model.addresses import LOOPBACK
from tulle.model.names import ServiceName
from tulle.model.spiffe import workload_id


class Protocol(StrEnum):
    """How a service port is spoken to; the names are those of Istio's protocol selection.

    TLS: the program's own, told apart by the name that the client asks for (SNI); HTTPS is the same. AUTO: nobody said;
    the first bytes of each connection tell.
    """

    HTTP = "http"
    HTTP2 = "http2"
    GRPC = "grpc"
    TCP = "tcp"
    TLS = "tls"
    AUTO = "auto"

    @property
    def is_http2(self) -> bool:
        """Whether the program itself is spoken to in HTTP/2 (prior knowledge, no upgrade)."""
        return self in (Protocol.HTTP2, Protocol.GRPC)


class Capture(StrEnum):
    """How a program's own connections come to its sidecar, and so what that sidecar's outbound port speaks.

    REDIRECT, NETNS: the kernel sends them there and remembers where they were to go. SECCOMP: they are handed over with a
    PROXY protocol header that says so. PROXY: programs use the port as an HTTP proxy. NONE: there is no such port.
    """

    REDIRECT = "redirect"
    SECCOMP = "seccomp"
    NETNS = "netns"
    PROXY = "proxy"
    NONE = "none"

    @property
    def is_transparent(self) -> bool:
        """Whether programs connect to the addresses of services, and so need no proxy of theirs."""
        return self in (Capture.REDIRECT, Capture.SECCOMP, Capture.NETNS)


class Health(StrEnum):
    """Where an instance is in its life. Only HEALTHY ones are given new requests.

    RUNNING: its program runs and has not served yet, as one that only calls others never does. One that has to serve is
    STARTING until then.
    """

    STARTING = "starting"
    RUNNING = "running"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    DRAINING = "draining"


class ServicePort(Struct, frozen=True, order=True):
    """A port by which callers name a service, and the port on which this instance's program listens.

    address: of loopback, where it does so.
    """

    number: int
    target: int
    protocol: Protocol = Protocol.HTTP
    name: str = ""
    address: str = LOOPBACK


class Workload(Struct, frozen=True):
    """One instance of a service: one program. `ports` is empty for a program that only calls others.

    weight: its share of the calls beside other instances, at least 1. locality: `region/zone/subzone`, as much as is known.
    """

    id: str
    service: ServiceName
    service_account: str
    version: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    ports: tuple[ServicePort, ...] = ()
    health: Health = Health.STARTING
    weight: int = 1
    locality: str = ""

    @property
    def tags(self) -> dict[str, str]:
        """Its labels as rules select by them: with `app` and `version`, which Istio's documents expect."""
        version = {"version": self.version} if self.version else {}
        return {"app": self.service.name, **version, **dict(self.labels)}

    @property
    def identity(self) -> str:
        """The SPIFFE id that this workload proves."""
        return workload_id(self.service.namespace, self.service_account)


class Proxy(Struct, frozen=True):
    """One sidecar: where its two listeners are, and whom it serves.

    address: the IP at which other sidecars reach `inbound_port`, and on which that listener is bound.
    outbound_port: where the program's own calls go in, always bound to loopback. capture: in which way. ipv6: whether
    calls by IPv6 go in at the same port of ::1. source: `address:port`, from which the PROXY headers of its program claim to
    come: a secret of the two, so that nobody else's are taken; for SECCOMP alone. metrics: where the agent serves them,
    `host:port`; "" for nowhere.
    """

    id: str
    address: str
    inbound_port: int
    outbound_port: int
    workloads: tuple[Workload, ...]
    capture: Capture = Capture.PROXY
    ipv6: bool = False
    source: str = ""
    metrics: str = ""
