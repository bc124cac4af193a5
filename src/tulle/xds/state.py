"""All that is known of one client's stream; `receiving` and `sending` read and change it."""

from __future__ import annotations

from msgspec import Struct

from tulle.xds.dependencies import Dependencies
from tulle.xds.resources import Key, Resource
from tulle.xds.subscription import Kind, Subscription


class Sent(Struct, frozen=True):
    """A response that is not yet acknowledged.

    entries: by name; None is a removal. A name that the client drops meanwhile is taken out.
    alone: there was one entry only, so a rejection means that one.
    """

    subscription: Subscription
    entries: dict[str, Resource | None]
    alone: bool


class State:
    """A stream's subscriptions in the order of sending, and what connects them.

    sent: by nonce. reconnected: the client has reported something that it holds from an earlier stream.
    """

    def __init__(self, kinds: tuple[Kind, ...]) -> None:
        self.subscriptions = {kind.type_url: Subscription(kind, rank) for rank, kind in enumerate(kinds)}
        self.dependencies = Dependencies()
        self.sent: dict[str, Sent] = {}
        self.responses = 0
        self.reconnected = False

    def subscription(self, type_url: str) -> Subscription:
        """The type's subscription. One of no known kind is sent last and by name only."""
        if type_url not in self.subscriptions:
            self.subscriptions[type_url] = Subscription(Kind(type_url), len(self.subscriptions))
        return self.subscriptions[type_url]

    def current(self, key: Key) -> Resource | None:
        """What the client holds under that type and name once it has taken all that is under way."""
        return self.subscription(key[0]).current(key[1])

    def arrived(self, key: Key) -> None:
        """The client holds `key`, or does so before it gets anything that is sent from now on."""
        for type_url, name in self.dependencies.waiting_for(key):
            self.subscriptions[type_url].dirty[name] = None
