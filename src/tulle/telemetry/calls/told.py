"""A single request as a sidecar has told of it, checked: what is in it comes from other machines, and in part from callers."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from tulle.ir.telemetry import Reporter
from tulle.model.calls import MOST_AT_ONCE
from tulle.model.headers import LONGEST_NAME, LONGEST_VALUE, MOST
from tulle.model.names import ServiceName, service_of
from tulle.model.peer import read

_Text = Annotated[str, Meta(max_length=300, pattern=r"^[ -~]*$")]
_Name = Annotated[str, Meta(max_length=LONGEST_NAME, pattern=r"^[ -~]*$")]
_Value = Annotated[str, Meta(max_length=LONGEST_VALUE + 50, pattern=r"^[ -~]*$")]  # a cut one says so
Headers = Annotated[dict[_Name, _Value], Meta(max_length=MOST + 1)]
_Count = Annotated[int, Meta(ge=0, lt=2**53)]
_LATEST = 1e11  # Unix time, in the year 5138
_IDENTITY = re.compile(r"spiffe://[^/]+/ns/([^/]+)/sa/([^/]+)")
_HOST_OF_CLUSTER = re.compile(r"outbound\|[0-9]+\|[^|]*\|([^|]+)(\|tcp)?")


class Told(Struct, frozen=True):
    """As translate/telemetry/calls.py has Envoy write it. time: Unix seconds, by the sidecar's machine; duration: milliseconds.

    taps: for which of those who look. Headers: as model/headers.py has them, if one of these wants them; by name, several of one
    name as one.
    """

    side: Reporter
    time: _Text = ""
    method: _Text = ""
    host: _Text = ""
    path: _Text = ""
    protocol: _Text = ""
    status: _Count = 0
    grpc: int | _Text = ""
    flags: _Text = ""
    details: _Text = ""
    duration: _Count = 0
    sent: _Count = 0
    received: _Count = 0
    id: _Text = ""
    trace: _Text = ""
    route: _Text = ""
    cluster: _Text = ""
    upstream: _Text = ""
    attempts: _Count = 0
    failure: _Text = ""
    peer: _Text = ""
    peer_id: _Text = ""
    port: _Text = ""
    taps: Annotated[tuple[_Text, ...], Meta(max_length=20)] = ()
    request_headers: Headers | UnsetType = UNSET
    response_headers: Headers | UnsetType = UNSET
    response_trailers: Headers | UnsetType = UNSET

    def without_headers(self) -> Told:
        return msgspec.structs.replace(self, request_headers=UNSET, response_headers=UNSET, response_trailers=UNSET)

    @property
    def at(self) -> float:
        """0 for what is no time that a clock could show."""
        try:
            at = float(self.time)
        except ValueError:
            return 0.0
        return at if 0 <= at < _LATEST else 0.0

    def peer_name(self) -> str:
        """The other side: `namespace/name`, or what is known of it."""
        peer = read(self.peer)
        if peer is not None:
            return f"{peer.namespace}/{peer.service}"
        if self.side is Reporter.SOURCE and (found := _HOST_OF_CLUSTER.fullmatch(self.cluster)):
            return _written(service_of(found[1]))
        if self.side is Reporter.SOURCE:
            return self.host or "unknown"
        if found := _IDENTITY.fullmatch(self.peer_id):  # of a sidecar that does not say more in its certificate
            return f"{found[1]}/{found[2]}"
        return self.peer_id or "unknown"


class Report(Struct, frozen=True, forbid_unknown_fields=True):
    calls: Annotated[list[Told], Meta(max_length=MOST_AT_ONCE)]
    lost: _Count = 0


decoder = msgspec.json.Decoder(Report)


def _written(name: ServiceName) -> str:
    return f"{name.namespace}/{name.name}" if name.namespace else name.name
