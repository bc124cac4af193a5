"""Which calls are counted together: from whom to whom, by which route, and how they ended."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from tulle.ir.telemetry import Reporter
from tulle.model.grpc_statuses import FAILED
from tulle.model.peer import Peer

UNKNOWN = "unknown"
_PROTOCOLS = ("http", "grpc", "tcp")
_MUTUAL_TLS = "mutual_tls"
_PASSTHROUGH, _BLACK_HOLE = "PassthroughCluster", "BlackHoleCluster"
OUTSIDE = "outside the mesh"


class End(Struct, frozen=True, order=True):
    """One side of calls. namespace: "" for what is outside the mesh; the name is a host then. principal: "" if none is proved."""

    namespace: str
    name: str
    workload: str = ""
    version: str = ""
    principal: str = ""

    @property
    def id(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Flow(Struct, frozen=True, order=True):
    """protocol: `http`, `grpc`, `tcp` or `unknown`. code: of HTTP, grpc: of gRPC; "" for none.

    is_paired: whether the other side's sidecar counts these calls as well.
    """

    reporter: Reporter
    source: End
    destination: End
    protocol: str
    mtls: bool
    is_paired: bool
    code: str = ""
    grpc: str = ""
    flags: str = ""
    route: str = ""
    port: str = ""

    @property
    def has_met(self) -> bool:
        """Whether the calls came to anybody. Of an instance in the mesh it is known which workload it is of."""
        return (
            self.reporter is Reporter.DESTINATION or not self.destination.namespace or bool(self.destination.workload)
        )

    @property
    def has_failed_on_the_way(self) -> bool:
        """Of calls that the caller's sidecar alone tells of: others came in plain text, and the server's sidecar counts them."""
        return not self.has_met or self.is_error or bool(self.flags)

    @property
    def teller(self) -> End:
        """Whose sidecar counts these calls: that end is proved, whatever the other is said to be."""
        return self.source if self.reporter is Reporter.SOURCE else self.destination

    @property
    def is_tcp(self) -> bool:
        return self.protocol == "tcp"

    @property
    def is_error(self) -> bool:
        """5xx, no answer at all, and what counts as the server's failure in gRPC (OpenTelemetry, RPC spans, server)."""
        return self.code[:1] == "5" or self.code == "0" or self.grpc in FAILED


def flow_of(labels: Mapping[str, str], own: Peer, service: str, principal: str) -> Flow | None:
    """own, service, principal: of the workload whose sidecar tells, never from the labels. None if these make no sense.

    Source: Istio, standard metrics.
    """
    try:
        reporter = Reporter(labels.get("reporter", ""))
    except ValueError:
        return None
    mine = End(own.namespace, service, own.workload, own.version, principal)
    if reporter is Reporter.SOURCE:
        source, destination = mine, _destination(labels)
        mtls = bool(destination.principal)
    else:
        source, destination = _source(labels), mine
        mtls = labels.get("connection_security_policy") == _MUTUAL_TLS
    other = destination if reporter is Reporter.SOURCE else source
    return Flow(
        reporter,
        source,
        destination,
        protocol if (protocol := labels.get("request_protocol", "")) in _PROTOCOLS else UNKNOWN,
        mtls,
        bool(other.principal) and bool(other.namespace),
        labels.get("response_code", ""),
        labels.get("grpc_response_status", ""),
        _without_dash(labels.get("response_flags", "")),
        labels.get("route", ""),
        labels.get("port", ""),
    )


def _destination(labels: Mapping[str, str]) -> End:
    name, namespace = (
        labels.get("destination_service_name", UNKNOWN),
        labels.get("destination_service_namespace", UNKNOWN),
    )
    if name in (_PASSTHROUGH, UNKNOWN, _BLACK_HOLE):
        return End("", OUTSIDE if name != UNKNOWN else UNKNOWN)
    known = namespace != UNKNOWN
    return End(
        namespace if known else "",
        name if known else labels.get("destination_service", name),
        _known(labels, "destination_workload"),
        _known(labels, "destination_version"),
        _known(labels, "destination_principal"),
    )


def _source(labels: Mapping[str, str]) -> End:
    name, namespace = labels.get("source_canonical_service", UNKNOWN), labels.get("source_workload_namespace", UNKNOWN)
    if UNKNOWN in (name, namespace):
        return _of_principal(_known(labels, "source_principal"))
    return End(
        namespace,
        name,
        _known(labels, "source_workload"),
        _known(labels, "source_version"),
        _known(labels, "source_principal"),
    )


def _of_principal(principal: str) -> End:
    """A caller that proves who it is, and says no more."""
    parts = principal.removeprefix("spiffe://").split("/")
    if len(parts) == 5 and (parts[1], parts[3]) == ("ns", "sa"):
        return End(parts[2], parts[4], principal=principal)
    return End("", UNKNOWN)


def _known(labels: Mapping[str, str], name: str) -> str:
    value = labels.get(name, UNKNOWN)
    return "" if value == UNKNOWN else value


def _without_dash(text: str) -> str:
    return "" if text == "-" else text
