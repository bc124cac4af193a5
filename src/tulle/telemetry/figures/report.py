"""What an agent reports of its sidecar's counters, checked: by how much each series has grown. It comes from other machines."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

MOST_SERIES = 2000
MOST_COLLECTORS = 100
BOUNDS = (
    *(0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000),
    *(30000, 60000, 300000, 600000, 1800000, 3600000),
)  # milliseconds, of Istio's histogram; one more bucket holds what is above

_Text = Annotated[str, Meta(max_length=300)]
_Name = Annotated[str, Meta(max_length=100)]
_Number = Annotated[float, Meta(ge=0, lt=1e15)]


class Duration(Struct, frozen=True):
    """sum: milliseconds. buckets: how many in each, not summed up."""

    sum: _Number = 0.0
    buckets: Annotated[tuple[_Number, ...], Meta(min_length=len(BOUNDS) + 1, max_length=len(BOUNDS) + 1)] = ()


class Series(Struct, frozen=True):
    """labels: Istio's, with `route` and `port`."""

    labels: Annotated[dict[_Name, _Text], Meta(max_length=60)]
    requests: _Number = 0.0
    duration: Duration | None = None
    request_bytes: _Number = 0.0
    response_bytes: _Number = 0.0
    request_messages: _Number = 0.0
    response_messages: _Number = 0.0
    opened: _Number = 0.0
    closed: _Number = 0.0
    sent: _Number = 0.0
    received: _Number = 0.0


class Lost(Struct, frozen=True):
    """What the agent and its Envoy did not count apart, since the agent's start."""

    series: _Number = 0.0
    requests: _Number = 0.0


class Report(Struct, frozen=True):
    """boot, number: of one agent's start, and of its reports from 1; the same twice counts once. seconds: that it is about.

    collectors: by `host:port`, deliveries of spans or logs that were not taken.
    """

    boot: Annotated[str, Meta(min_length=1, max_length=100)]
    number: Annotated[int, Meta(ge=1, lt=2**53)]
    seconds: Annotated[float, Meta(ge=0, lt=1e9)]
    series: Annotated[list[Series], Meta(max_length=MOST_SERIES)] = []
    lost: Lost = Lost()
    collectors: Annotated[dict[_Text, _Number], Meta(max_length=MOST_COLLECTORS)] = {}


decoder = msgspec.json.Decoder(Report)
