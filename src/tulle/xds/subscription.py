"""One type on one client's stream: what is asked for, wanted, held and under way. Bookkeeping that decides nothing."""

from __future__ import annotations

from msgspec import Struct

from tulle.xds.requests import Rejected
from tulle.xds.resources import CDS, EDS, LDS, RDS, SDS, VHDS, Resource


class Kind(Struct, frozen=True):
    """How clients treat a type.

    wildcard: naming nothing in the first request means all there is.
    singly: one resource per response, because a client that refuses one refuses the whole response.
    owner_answers: "no such thing" is a resource without a body; `removed_resources` would leave the client waiting.
    wakes: a client that is sent one of these then waits for the resource of that type with the same name, even if
    it holds it.
    """

    type_url: str
    wildcard: bool = False
    singly: bool = False
    owner_answers: bool = False
    wakes: str = ""


# What a sidecar asks for, in the order that never breaks traffic (xDS protocol, "Eventual consistency considerations").
# A changed cluster takes effect only when its endpoints have come again ("Resource warming"; Envoy issue 47302).
SIDECAR = (
    Kind(SDS),
    Kind(CDS, wildcard=True, singly=True, wakes=EDS),
    Kind(EDS),
    Kind(LDS, wildcard=True, singly=True),
    Kind(RDS, singly=True),
    Kind(VHDS, wildcard=True, singly=True, owner_answers=True),
)


class Subscription:
    """The state of one type; the collections are keyed by name.

    rank: the place in the order of sending.
    heard: the client has asked for the type on this stream.
    owed: its first request must be answered, if need be with nothing.
    everything: it asks for all there is. names: what it asks for by name.
    unanswered: asked for by name, and no answer has been sent since.
    doubtful: those that may be aliases which were answered on an earlier stream.
    wanted: what the client should hold. aliases: their aliases, and which of them each belongs to.
    held: acknowledged on this stream, or reported from an earlier one.
    unknown: those held of which no more than the version is known, so they may require anything.
    under_way: the newest that is not yet acknowledged, with its nonce; None is a removal.
    rejected: the wanted ones that the client refuses. alone: to be sent with no other, to see which one it refuses.
    dirty: to be looked at by the next flush. leaving: held, no longer wanted, not yet removed.
    """

    def __init__(self, kind: Kind, rank: int) -> None:
        self.kind = kind
        self.rank = rank
        self.heard = False
        self.owed = False
        self.everything = False
        self.names: set[str] = set()
        self.unanswered: set[str] = set()
        self.doubtful: set[str] = set()
        self.wanted: dict[str, Resource] = {}
        self.aliases: dict[str, str] = {}
        self.held: dict[str, Resource] = {}
        self.unknown: set[str] = set()
        self.under_way: dict[str, tuple[str, Resource | None]] = {}
        self.rejected: dict[str, Rejected] = {}
        self.alone: set[str] = set()
        self.dirty: dict[str, None] = {}
        self.leaving: dict[str, None] = {}

    def await_answer(self, name: str) -> None:
        """The client waits for an answer to that name, whatever it holds."""
        self.unanswered.add(name)
        self.dirty[self.aliases.get(name, name)] = None

    def current(self, name: str) -> Resource | None:
        """What the client holds once it has taken all that is under way."""
        if name in self.under_way:
            return self.under_way[name][1]
        return self.held.get(name)

    def asks_for(self, resource: Resource) -> bool:
        """Whether the client has any use for the resource."""
        return self.everything or not self.names.isdisjoint(resource.answers)

    def waits_for(self, resource: Resource) -> bool:
        """Whether the client waits for a name that the resource answers."""
        return bool(self.unanswered) and not self.unanswered.isdisjoint(resource.answers)

    def refuses(self, resource: Resource) -> bool:
        """Whether the client has rejected this version of it."""
        event = self.rejected.get(resource.name)
        return event is not None and event.version == resource.version

    def want(self, resource: Resource) -> None:
        """The resource is wanted instead of what was wanted under its name."""
        self.unwant(resource.name)
        self.wanted[resource.name] = resource
        for alias in resource.aliases:
            self.aliases[alias] = resource.name

    def unwant(self, name: str) -> None:
        """Nothing is wanted under the name."""
        before = self.wanted.pop(name, None)
        for alias in before.aliases if before else ():
            if self.aliases.get(alias) == name:
                del self.aliases[alias]
        self.dirty[name] = None
