"""START HERE. One client's stream without I/O: requests and wishes go in, events and responses come out.

The owner of a session says what the client should hold (`want`, `unwant`), and calls `flush` after it has handled the
events of a request; the session brings the client there.

- It sends what the client asks for and does not hold in that version, or asks for anew, and nothing else.
- A resource goes out when all that it requires has gone out before it. One that is no longer wanted is removed after
  everything has been added, when nothing that the client holds, or may yet hold, requires it. So no change breaks
  traffic.
- After a reconnect it removes nothing on which something may depend that the client has not yet reported.
- A name that is asked for and not wanted is answered "removed" by the flush that follows: there is no such thing now.
  Where the kind says so (VHDS) the owner has to answer, if need be with a resource without a body.
- What the client rejects is not sent again until something else is wanted under its name.

Only the newest wish counts: what changed ten times before a flush is sent once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Literal

from tulle.xds import receiving, sending
from tulle.xds.requests import Accepted, Asked, Dropped, Event, Held, Rejected, Request
from tulle.xds.resources import Key, Resource
from tulle.xds.state import State
from tulle.xds.subscription import SIDECAR, Kind

__all__ = ["Accepted", "Asked", "Dropped", "Event", "Held", "Rejected", "Request", "Session"]

Progress = Literal["acked", "sent", "pending", "rejected"]


class Session:
    """What one client holds, should hold, and has been sent. `kinds`: what it asks for, in the order of sending."""

    def __init__(self, kinds: tuple[Kind, ...] = SIDECAR) -> None:
        self._state = State(kinds)

    def receive(self, request: Request) -> tuple[Event, ...]:
        """Take the client's next request. A stale nonce means nothing; nothing that a client says is an error."""
        return tuple(receiving.receive(self._state, request))

    def want(self, resource: Resource) -> None:
        """From now on the client should hold this, and no other version of it."""
        subscription = self._state.subscription(resource.type_url)
        if subscription.wanted.get(resource.name) != resource:
            if not subscription.refuses(resource):
                subscription.rejected.pop(resource.name, None)
            subscription.want(resource)

    def unwant(self, type_url: str, name: str) -> None:
        """From now on the client should not hold this. Nothing if it is not wanted."""
        subscription = self._state.subscription(type_url)
        if name in subscription.wanted:
            subscription.rejected.pop(name, None)
            subscription.unwant(name)

    def flush(self) -> list[bytes]:
        """The encoded responses to send now, in this order. They count as sent."""
        return list(sending.flush(self._state))

    @property
    def in_sync(self) -> bool:
        """Whether the client has acknowledged all that was sent, and nothing is pending."""
        # Asked after every acknowledgement and every change, so it looks no further than it must.
        if self._state.sent or self._state.dependencies.blocked:
            return False
        for subscription in self._state.subscriptions.values():
            if (subscription.dirty or subscription.leaving) and (subscription.heard or subscription.kind.wildcard):
                return False
        return True

    @property
    def pending(self) -> tuple[Key, ...]:
        """What is yet to be sent or removed: it waits for something else, for a first request, or for a flush."""
        keys = list(self._state.dependencies.blocked)
        for type_url, subscription in self._state.subscriptions.items():
            if subscription.heard or subscription.kind.wildcard:
                keys += [(type_url, name) for name in (*subscription.dirty, *subscription.leaving)]
        return tuple(keys)

    @property
    def rejections(self) -> tuple[Rejected, ...]:
        """What the client should hold and refuses."""
        return tuple(event for s in self._state.subscriptions.values() for event in s.rejected.values())

    @property
    def wanted(self) -> Iterator[Resource]:
        """What the client should hold, in the order of sending."""
        for subscription in self._state.subscriptions.values():
            yield from subscription.wanted.values()

    def asked(self, type_url: str, without: Collection[str] = ()) -> int:
        """How many names the client asks for, not counting these."""
        asked = self._state.subscription(type_url).names
        return len(asked) - len(asked.intersection(without))

    def names(self, type_url: str) -> frozenset[str]:
        """What the client asks for by name."""
        return frozenset(self._state.subscription(type_url).names)

    def progress(self, type_url: str, name: str) -> Progress:
        """How far a wanted resource has come."""
        subscription = self._state.subscription(type_url)
        if name in subscription.rejected:
            return "rejected"
        if name in subscription.under_way:
            return "sent"
        return "acked" if self.holds(type_url, name) and self.acknowledged(type_url, name) else "pending"

    def held(self, type_url: str) -> Mapping[str, str]:
        """What the client has acknowledged, on this stream or an earlier one: {name: version}."""
        held = self._state.subscription(type_url).held
        return {name: resource.version for name, resource in held.items()}

    def holds(self, type_url: str, name: str) -> bool:
        """Whether the client has acknowledged some version of it."""
        return name in self._state.subscription(type_url).held

    def acknowledged(self, type_url: str, name: str) -> bool:
        """Whether the client has acknowledged what it should hold under that name, or has no use for it."""
        subscription = self._state.subscription(type_url)
        wanted, held = subscription.wanted.get(name), subscription.held.get(name)
        if name in subscription.under_way:
            return False
        if wanted is None or held is None:
            unused = wanted is None or not (subscription.kind.wildcard or subscription.asks_for(wanted))
            return held is None and unused
        return held.version == wanted.version
