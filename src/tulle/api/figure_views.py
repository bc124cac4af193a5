"""What the API shows of calls that were counted. Rates are a second, durations milliseconds, times Unix seconds.

Shares go from 0 to 1.
"""

from __future__ import annotations

from msgspec import Struct


class InstancesView(Struct, frozen=True):
    """healthy: that take calls. total: that there are. running: that run and have not served yet, as programs that only call."""

    healthy: int
    total: int
    running: int = 0


class TcpView(Struct, frozen=True):
    """Connections. opened: in the window; open: opened less closed in it. Bytes a second, `sent` to the caller."""

    opened: int
    open: int
    sent_rate: float
    received_rate: float


class StatView(Struct, frozen=True):
    """One service, workload, route or proxy. success, p50, p95, p99, mtls: null without requests.

    requests: in the window. codes: requests by HTTP code, or `grpc N`. flags: calls by Envoy's response flags.
    unreached: calls that failed on the way, as callers' sidecars say, beside `requests`, where the called one's own tell of any.
    workload, route, proxy, caller, version: "" where it is none. version: the workload's. tcp: null without connections.
    instances: a service's, else null.
    """

    kind: str
    namespace: str
    name: str
    requests: int
    rate: float
    success: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    mtls: float | None
    codes: dict[str, int]
    flags: dict[str, int]
    tcp: TcpView | None
    instances: InstancesView | None
    workload: str = ""
    route: str = ""
    proxy: str = ""
    caller: str = ""
    version: str = ""
    unreached: int = 0


class LostView(Struct, frozen=True):
    """What is not told apart or was not counted, since the agents' starts."""

    series: int
    requests: int


class StatsView(Struct, frozen=True):
    """gaps: from when to when nothing was told, within the window."""

    window: float
    at: float
    rows: list[StatView]
    lost: LostView
    gaps: list[tuple[float, float]]
    reporting: int


class VersionView(Struct, frozen=True):
    version: str
    rate: float
    success: float | None


class NodeView(Struct, frozen=True):
    """kind: `service`, `external` or `unknown`. id: `namespace/name`, or a host. Its figures are those of calls to it."""

    id: str
    kind: str
    namespace: str
    name: str
    versions: list[VersionView]
    rate: float
    success: float | None
    p95: float | None
    instances: InstancesView | None
    unreached: int = 0


_ENDS = {"source": "from", "destination": "to"}


class IdentitiesView(Struct, frozen=True, rename=_ENDS):
    """SPIFFE ids that were proved."""

    source: list[str]
    destination: list[str]


class EdgeView(Struct, frozen=True, rename=_ENDS):
    """Calls from one node to another. protocol: of most of them."""

    source: str
    destination: str
    protocol: str
    requests: int
    rate: float
    success: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    mtls: float | None
    sent_rate: float
    received_rate: float
    identities: IdentitiesView
    codes: dict[str, int]
    flags: dict[str, int]
    tcp: TcpView | None


class GraphView(Struct, frozen=True):
    """hidden: how many nodes are not shown, as they are too far from `focus` or in other namespaces."""

    window: float
    at: float
    nodes: list[NodeView]
    edges: list[EdgeView]
    hidden: int = 0


class PointView(Struct, frozen=True):
    t: float
    rate: float
    errors: float
    p50: float | None
    p95: float | None
    p99: float | None


class HistoryView(Struct, frozen=True, rename={"start": "from"}):
    """points: one for each `step` seconds, the oldest first; null where nothing was told."""

    step: float
    start: float
    points: list[PointView | None]


class CallerView(Struct, frozen=True):
    """Calls of one port of a service by one caller. caller: `namespace/name`, or what is known. principal: "" for plain text.

    port: 0 if it is not known. refused: how many of the requests were answered with 403. connections: of TCP.
    """

    namespace: str
    name: str
    port: int
    protocol: str
    caller: str
    principal: str
    requests: int
    refused: int
    connections: int


class CallersView(Struct, frozen=True):
    """since: Unix time from which on anything was counted. lost: requests that sidecars did not count apart."""

    window: float
    at: float
    since: float
    rows: list[CallerView]
    lost: int
