"""What the API shows of a running mesh, and so what `tulle ... -o json` prints.

Times are Unix time in seconds. Lists are sorted by name. A field may be added; none is renamed or taken away.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from tulle.model.actions import Action
from tulle.model.decisions import What
from tulle.model.levels import Level
from tulle.model.mutual_tls import MutualTls
from tulle.model.workload import Capture, Health, Protocol
from tulle.sources.problems import Severity


class MistakeView(Struct, frozen=True):
    """A mistake of tulle's own: a part that can't be made, so that the last good one counts, and why. It is tried again."""

    part: str
    message: str


class CollectorView(Struct, frozen=True):
    """A collector of spans or access logs that a Telemetry names, `host:port`, which sidecars tell themselves.

    failed: how many of their deliveries it did not take in the last five minutes, at least one.
    """

    name: str
    failed: int


class StatusView(Struct, frozen=True):
    """The control plane and, in numbers, its mesh.

    envoy: the version of the Envoy that this control plane speaks to.
    connected: proxies whose Envoy has a session. in_sync: those of them that have acknowledged everything.
    refused: the sum of the proxies'. problems: what of the mesh can't be taken in, by tulle's own mistake, and why.
    web_port: of the dashboard; None: there is none. traces: why none are kept now, or "". running: instances whose programs
    run and have not served yet, as those that only call others. collectors: those that did not take something lately.
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
    refused: int = 0
    problems: list[MistakeView] = []
    web_port: int | None = None
    traces: str = ""
    running: int = 0
    collectors: list[CollectorView] = []


class PortView(Struct, frozen=True):
    """A service port, as callers name it.

    mutual_tls: what its instances take (PeerAuthentication), each once; more than one where they differ.
    """

    number: int
    protocol: Protocol
    name: str = ""
    mutual_tls: list[MutualTls] = []


class InstanceView(Struct, frozen=True):
    """One program of a service, at its sidecar's address. since: when it got the health it has; None if not known."""

    id: str
    health: Health
    address: str
    port: int
    version: str = ""
    labels: dict[str, str] = {}
    since: float | None = None
    weight: int = 1
    locality: str = ""


class ServiceView(Struct, frozen=True):
    """healthy: how many of the instances are given new requests. A service that the mesh remembers may have none.

    vip: the address on loopback by which captured programs know it. running: how many run and have not served yet, as programs
    that only call others.
    """

    name: str
    namespace: str
    host: str
    ports: list[PortView]
    instances: list[InstanceView]
    healthy: int
    vip: str = ""
    running: int = 0


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
    names: how many hosts it has asked for or been given ahead. strangers: how many it holds that are no service. refused: how
    often it was told nothing of one, because it asked for too many in too short a time; since it is connected.
    problems: what of its configuration can't be made, by tulle's own mistake. metrics: where its agent serves them, `host:port`.
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
    strangers: int = 0
    refused: int = 0
    rejected: list[RejectedView] = []
    capture: Capture = Capture.PROXY
    problems: list[MistakeView] = []
    metrics: str = ""


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


class WeightView(Struct, frozen=True):
    """An instance has another share of the calls."""

    proxy: str
    weight: int


class RejectionView(Struct, frozen=True):
    """A proxy that refuses a part of what was made of a resource, and its reason."""

    proxy: str
    reason: str


class InForceView(Struct, frozen=True):
    """On how many of the proxies that need a resource it is in force. rejected: at most 20 of those that refuse it."""

    needed: int = 0
    acknowledged: int = 0
    rejected: list[RejectionView] = []


class FindingView(Struct, frozen=True):
    """What is valid and does nothing, or not what it says.

    file, line: where its document stood; 0 if the line is not known. path: of the field; empty: all of it. code: Istio's,
    where it has one.
    """

    kind: str
    namespace: str
    name: str
    file: str
    line: int
    path: str
    message: str
    level: Level
    code: str = ""


class ProgressView(Struct, frozen=True):
    """How far a change has come that is waited for.

    acknowledged of the needed proxies hold what came of it. missing: some of the others. taken_up: whether the control
    plane's own picture has it, else no proxy was asked. is_over: this is the last line.
    """

    needed: int
    acknowledged: int
    rejected: list[RejectionView]
    missing: list[str]
    taken_up: bool
    is_over: bool


class DecisionView(Struct, frozen=True):
    """How often a rule, or none that fits, has decided so against a caller, at live instances since each has started.

    source, place: of the rule, as it was then: a declared resource and a field in it; empty where none fits, or where a token is
    refused. caller: the principal, "" without a certificate. last: when.
    """

    what: What
    source: str
    place: str
    caller: str
    count: int
    last: float


class DeclaredView(Struct, frozen=True):
    """A resource as it was declared.

    revision: of the store, at which it was written last. generation: 1 at first, one more with each change of `spec`.
    created: when it was declared first. file, line: where its document stood. spec: Istio's JSON. in_force, status: on how
    many proxies it holds, in numbers and in a few words. findings: what of it does nothing. decisions: of its rules.
    """

    kind: str
    namespace: str
    name: str
    revision: int
    generation: int
    created: float
    labels: dict[str, str]
    annotations: dict[str, str]
    file: str
    line: int
    spec: Any
    in_force: InForceView = InForceView()
    status: str = ""
    findings: list[FindingView] = []
    decisions: list[DecisionView] = []


class OutcomeView(Struct, frozen=True):
    """What became of one resource. namespace: empty for what the mesh has one of."""

    kind: str
    namespace: str
    name: str
    action: Action


class ProblemView(Struct, frozen=True):
    """What is wrong with a document. line: in the file, 0 if it is not known. path: of the field; empty: all of it."""

    file: str
    line: int
    path: str
    message: str
    severity: Severity


class AppliedView(Struct, frozen=True):
    """Documents that were applied. warnings: problems that keep nothing out."""

    outcomes: list[OutcomeView]
    warnings: list[ProblemView]


class ChangeView(Struct, frozen=True):
    """One line of a watch: what is there at first, then what is written, and what is gone."""

    event: Literal["listed", "written", "deleted"]
    resources: list[DeclaredView] = []
    gone: list[OutcomeView] = []
