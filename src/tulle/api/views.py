"""What the API shows of a running mesh, and so what `tulle ... -o json` prints.

Times are Unix time in seconds. Lists are sorted by name. A field may be added; none is renamed or taken away.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from tulle.model.workload import Capture, Health, Protocol


class StatusView(Struct, frozen=True):
    """The control plane and, in numbers, its mesh.

    envoy: the version of the Envoy that this control plane speaks to.
    connected: proxies whose Envoy has a session. in_sync: those of them that have acknowledged everything.
    """

    version: str
    envoy: str
    data: str
    pid: int
    started_at: float
    xds_port: int
    services: int
    instances: int
    healthy: int
    proxies: int
    connected: int
    in_sync: int


class PortView(Struct, frozen=True):
    """A service port, as callers name it."""

    number: int
    protocol: Protocol
    name: str = ""


class InstanceView(Struct, frozen=True):
    """One program of a service, at its sidecar's address. since: when it got the health it has; None if not known."""

    id: str
    health: Health
    address: str
    port: int
    version: str = ""
    labels: dict[str, str] = {}
    since: float | None = None


class ServiceView(Struct, frozen=True):
    """healthy: how many of the instances are given new requests. A service that the mesh remembers may have none.

    vip: the address on loopback by which captured programs know it.
    """

    name: str
    namespace: str
    host: str
    ports: list[PortView]
    instances: list[InstanceView]
    healthy: int
    vip: str = ""


class RejectedView(Struct, frozen=True):
    """A resource of which an Envoy has refused the newest version, and its reason. It keeps the last good one."""

    resource: str
    message: str


class ProxyView(Struct, frozen=True):
    """One sidecar.

    address, inbound_port: where calls of the mesh come in. outbound_port: where its program's own go in, on loopback.
    capture: in which way.
    connected_since: None while its Envoy has no session.
    since: from when `in_sync` has been as it is; None if not known.
    names: how many hosts it has asked for or been given ahead.
    """

    id: str
    service: str
    namespace: str
    health: Health
    address: str
    inbound_port: int
    outbound_port: int
    connected: bool
    in_sync: bool
    connected_since: float | None = None
    since: float | None = None
    names: int = 0
    rejected: list[RejectedView] = []
    capture: Capture = Capture.PROXY


class ResourceView(Struct, frozen=True):
    """One resource of an Envoy, as the control plane sent it.

    state: acked, or sent and not yet answered, or waiting to be sent, or rejected.
    resource: Envoy's JSON with the names of the protobuf fields (`load_assignment`), as in Envoy's documentation.
    """

    name: str
    version: str
    state: Literal["acked", "sent", "pending", "rejected"]
    resource: dict[str, Any]


class ConfigView(Struct, frozen=True):
    """All that one Envoy has been sent. routes: route configurations, and the virtual hosts that were asked for."""

    listeners: list[ResourceView]
    routes: list[ResourceView]
    clusters: list[ResourceView]
    endpoints: list[ResourceView]


class RestartView(Struct, frozen=True):
    """A new Envoy has taken over. seconds: how long that took, with the wait for an earlier restart's last calls."""

    proxy: str
    seconds: float
