"""What a client says, and what of it is news."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

# Envoy's way to say "all of this type", beside naming nothing in the first request.
WILDCARD = "*"


class Request(Struct, frozen=True):
    """A DeltaDiscoveryRequest, as much as a server needs of it.

    held: what the client holds of the type from an earlier stream, {name: version}; in the first request of a type.
    nonce: of the response that this acknowledges; empty if none. error: why it is rejected; None if it is not.
    node: the id that the client claims; only in the first request of a stream.
    """

    type_url: str
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    held: Mapping[str, str] = {}
    nonce: str = ""
    error: str | None = None
    node: str = ""


class Asked(Struct, frozen=True):
    """The client asks for these names, newly or anew; after a reconnect also for those that it still holds."""

    type_url: str
    names: tuple[str, ...]


class Held(Struct, frozen=True):
    """The client holds these from an earlier stream, {name: version}."""

    type_url: str
    versions: Mapping[str, str]


class Dropped(Struct, frozen=True):
    """The client asks for these names no more."""

    type_url: str
    names: tuple[str, ...]


class Accepted(Struct, frozen=True):
    """The client has taken this resource into use."""

    type_url: str
    name: str
    version: str


class Rejected(Struct, frozen=True):
    """The client refuses this resource and goes on with what it held before. version: empty if it refuses a removal."""

    type_url: str
    name: str
    version: str
    message: str


Event = Asked | Held | Dropped | Accepted | Rejected
