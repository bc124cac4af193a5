"""What the API shows of single requests."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from tulle.ir.telemetry import Reporter
from tulle.model.headers import shown_again
from tulle.telemetry.calls.kept import Kept


class CallsView(Struct, frozen=True):
    """calls: the newest first, or of one request in the order of time. lost: how many sidecars did not tell of, as there were too
    many."""

    calls: list[CalledView]
    lost: int


class CalledView(Struct, frozen=True):
    """One request as one sidecar saw it. side: `source` or `destination`, which of its two ends that sidecar is.

    time: Unix seconds, when it began. source, destination: services, `namespace/name`, or what is known of them. status: 0
    if there was no answer. grpc: its status there, "" if it is none. identity: what the other side proved, "" for plain text.
    lost: how many are missing before it. Headers: by name, if they were asked for; of what is or may be a secret its length
    alone.
    """

    time: float
    proxy: str
    side: str
    source: str
    destination: str
    method: str
    host: str
    path: str
    protocol: str
    status: int
    grpc: str
    flags: str
    details: str
    duration_ms: int
    sent: int
    received: int
    request_id: str
    trace: str
    route: str
    cluster: str
    upstream: str
    attempts: int
    failure: str
    identity: str
    mtls: bool
    lost: int = 0
    request_headers: dict[str, str] | UnsetType = UNSET
    response_headers: dict[str, str] | UnsetType = UNSET
    response_trailers: dict[str, str] | UnsetType = UNSET


def shown(kept: Kept) -> CalledView:
    told = kept.told
    other, is_source = told.peer_name(), told.side is Reporter.SOURCE
    return CalledView(
        time=told.at,
        proxy=kept.proxy,
        side=told.side.value,
        source=kept.service if is_source else other,
        destination=other if is_source else kept.service,
        method=told.method,
        host=told.host,
        path=told.path,
        protocol=told.protocol,
        status=told.status,
        grpc=str(told.grpc) if str(told.grpc) not in ("-", "") else "",
        flags="" if told.flags == "-" else told.flags,
        details=told.details,
        duration_ms=told.duration,
        sent=told.sent,
        received=told.received,
        request_id=told.id,
        trace=told.trace,
        route=told.route,
        cluster=told.cluster,
        upstream=told.upstream,
        attempts=told.attempts,
        failure=told.failure,
        identity=told.peer_id,
        mtls=bool(told.peer_id),
        request_headers=_again(told.request_headers),
        response_headers=_again(told.response_headers),
        response_trailers=_again(told.response_trailers),
    )


def _again(headers: dict[str, str] | UnsetType) -> dict[str, str] | UnsetType:
    """An agent should have done it."""
    return UNSET if headers is UNSET else shown_again(headers)
