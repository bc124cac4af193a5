"""What the messages of several kinds share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

# Numbers of protobuf. (msgspec knows no bound beyond 2**63 - 1; a Uint64's most is 2**64 - 1.)
Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Uint32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Uint64 = Annotated[int, Meta(ge=0)]


class Message(Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """A message of Istio's API: a field that is not given is None, an empty tuple or an empty mapping."""


class StringMatch(Message, frozen=True):
    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None


class PortSelector(Message, frozen=True):
    number: Uint32 = 0


class Destination(Message, frozen=True):
    host: str = ""
    subset: str = ""
    port: PortSelector | None = None


class Percent(Message, frozen=True):
    value: float = 0.0


class WorkloadSelector(Message, frozen=True):
    """Of DestinationRule: `matchLabels`. The other kinds' is LabelSelector."""

    match_labels: Mapping[str, str] = {}


class LabelSelector(Message, frozen=True):
    labels: Mapping[str, str] = {}
