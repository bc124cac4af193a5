"""Whatever happens in whatever order: the client ends with what is wanted, and on the way nothing is ever missing.

The client is a model of Envoy: it wants the endpoints of each cluster that it holds, waits for them again when the cluster
changes, asks for virtual hosts by names that are aliases of theirs, and refuses what is marked bad.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tulle.envoy_api.messages import message
from tulle.xds.requests import Asked, Dropped, Held, Request
from tulle.xds.resources import CDS, EDS, LDS, VHDS, Key, Resource, resource
from tulle.xds.session import Session

TYPES = (CDS, EDS, LDS, VHDS)
SERVICES = ("a", "b", "c")
ALIASES = ("", ".mesh", ":80")

services = st.sampled_from(SERVICES)
aliases = st.sampled_from(ALIASES)
Body = dict[str, Any]


class Client:
    """What Envoy would do. Requests are put into `out`."""

    def __init__(self) -> None:
        self.out: deque[Request] = deque()
        self.holds: dict[Key, tuple[str, Body]] = {}
        self.refused: set[Key] = set()
        self.endpoints_of: set[str] = set()
        self.asked: dict[str, None] = {}
        self.waiting: set[str] = set()
        self.warming: set[str] = set()
        self.ambiguous: set[str] = set()

    def connect(self, order: list[str]) -> None:
        """The first requests of a stream; what was under way on the last one is lost."""
        self.out.clear()
        self.ambiguous.clear()
        # A name that it holds itself, as "no such thing", it can't say to be waiting for.
        self.waiting -= {name for _, name in self.holds}
        for type_url in order:
            held = {name: version for (t, name), (version, _) in self.holds.items() if t == type_url}
            if type_url == EDS:
                if self.endpoints_of:
                    self.out.append(Request(EDS, tuple(self.endpoints_of), held=held))
            elif type_url == VHDS and self.asked:
                self.out.append(Request(VHDS, ("*", *self.asked), held=held))
            else:
                self.out.append(Request(type_url, held=held))

    def ask(self, name: str) -> None:
        """A call to a host that no virtual host serves."""
        if name not in self.asked:
            self.asked[name] = None
            self.waiting.add(name)
            self.out.append(Request(VHDS, (name,)))

    def forget_names(self) -> None:
        """The subscription is made anew (Envoy does so when the route configuration changes)."""
        if self.asked:
            self.ambiguous |= {name for name in self.asked if (VHDS, name) in self.holds}
            self.out.append(Request(VHDS, unsubscribe=tuple(self.asked)))
            self.asked.clear()
            self.waiting.clear()

    def take(self, encoded: bytes) -> None:
        response = message("envoy.service.discovery.v3.DeltaDiscoveryResponse").FromString(encoded)
        type_url = response.type_url
        items = {
            i.name: (i.version, json.loads(i.resource.value or "{}"), tuple(i.aliases)) for i in response.resources
        }
        assert not set(items) & set(response.removed_resources)
        assert type_url == EDS or len(items) <= 1
        if any(body.get("bad") for _, body, _ in items.values()):
            self.refused |= {(type_url, name) for name in items}
            self.out.append(Request(type_url, nonce=response.nonce, error="bad"))
            return
        for name, (version, body, known_as) in items.items():
            self._add((type_url, name), version, body)
            self.waiting -= {name, *known_as}
        for name in response.removed_resources:
            self._remove((type_url, name))
        self.out.append(Request(type_url, nonce=response.nonce))

    def _add(self, key: Key, version: str, body: Body) -> None:
        type_url, name = key
        for required in map(tuple, body.get("requires", ())):
            refused = self.refused & {required, (CDS, required[1])}
            assert required in self.holds or refused, f"{key} came before {required}"
        self.refused.discard(key)
        if type_url == CDS:
            if key not in self.holds:
                self.endpoints_of.add(name)
                self.out.append(Request(EDS, (name,)))
            self.warming.add(name)
        elif type_url == EDS:
            if name not in self.endpoints_of:
                return  # no longer asked for
            self.warming.discard(name)
        self.ambiguous.discard(name)
        self.holds[key] = version, body

    def _remove(self, key: Key) -> None:
        type_url, name = key
        users = [k for k, (_, body) in self.holds.items() if list(key) in body.get("requires", ())]
        assert key not in self.holds or not users, f"{key} was removed, but {users} need it"
        self.ambiguous.discard(name)
        self.holds.pop(key, None)
        if type_url == EDS:
            self.warming.discard(name)
        elif type_url == CDS and name in self.endpoints_of:
            self.endpoints_of.discard(name)
            self.warming.discard(name)
            self.holds.pop((EDS, name), None)
            self.out.append(Request(EDS, unsubscribe=(name,)))


class Owner:
    """Services with a cluster, endpoints and a virtual host each, and an answer to every name."""

    def __init__(self) -> None:
        self.session = Session()
        self.offered: dict[str, dict[str, Body]] = {}
        self.names: dict[str, None] = {}
        self.changes = 0
        self.wished: set[Key] = set()

    def connect(self) -> None:
        self.session = Session()
        self.names.clear()
        self.wished.clear()
        self.wish()

    def offer(self, service: str) -> None:
        if service not in self.offered:
            requires = [[CDS, service], [EDS, service]]
            self.offered[service] = {CDS: {}, EDS: {}, VHDS: {"requires": requires}}
            self.wish()

    def change(self, service: str, type_url: str, bad: bool) -> None:
        """Another body; one that the client refuses, if `bad`."""
        if service in self.offered:
            self.changes += 1
            body = self.offered[service][type_url]
            self.offered[service][type_url] = body | {"version": self.changes % 3, "bad": bad}
            self.wish()

    def redirect(self, service: str, to: str) -> None:
        """The service's virtual host leads to another service's cluster."""
        if {service, to} <= self.offered.keys():
            self.offered[service][VHDS] |= {"requires": [[CDS, to], [EDS, to]]}
            self.wish()

    def withdraw(self, service: str) -> None:
        self.offered.pop(service, None)
        for other, parts in self.offered.items():
            if [CDS, service] in parts[VHDS]["requires"]:
                self.redirect(other, other)
        self.wish()

    def repair(self) -> None:
        """Nothing is bad any more."""
        for parts in self.offered.values():
            for body in parts.values():
                body["bad"] = False
        self.wish()

    def receive(self, request: Request) -> None:
        for event in self.session.receive(request):
            if isinstance(event, Asked) and event.type_url == VHDS:
                self.names.update(dict.fromkeys(event.names))
            elif isinstance(event, Dropped) and event.type_url == VHDS:
                for name in event.names:
                    self.names.pop(name, None)
            elif isinstance(event, Held):
                assert all(event.versions.values())
        self.wish()

    def wanted(self) -> dict[Key, Resource]:
        found: dict[Key, Resource] = {}
        for service, parts in self.offered.items():
            for type_url, body in parts.items():
                asked = tuple(n for n in self.names if service_of(n) == service) if type_url == VHDS else ()
                requires = tuple((t, n) for t, n in body.get("requires", ()))
                encoded = json.dumps(body).encode()
                found[type_url, service] = resource(type_url, service, encoded, aliases=asked, requires=requires)
        for name in self.names:
            if service_of(name) not in self.offered:
                found[VHDS, name] = Resource(VHDS, name, aliases=(name,))
        return found

    def wish(self) -> None:
        wanted = self.wanted()
        for key in self.wished - wanted.keys():
            self.session.unwant(*key)
        for item in wanted.values():
            self.session.want(item)
        self.wished = set(wanted)


def service_of(name: str) -> str:
    return name.removeprefix("rc/")[0]


class Stream(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.client, self.owner = Client(), Owner()
        self.wire: deque[bytes] = deque()

    @initialize()
    def start(self) -> None:
        self.connect(list(TYPES))

    @rule(order=st.permutations(TYPES))
    def connect(self, order: list[str]) -> None:
        self.wire.clear()
        self.owner.connect()
        self.client.connect(order)

    @rule(service=services, calm=st.booleans())
    def offer(self, service: str, calm: bool) -> None:
        self.owner.offer(service)
        self._perhaps_settle(calm)

    @rule(service=services, type_url=st.sampled_from((CDS, EDS, VHDS)), bad=st.booleans(), calm=st.booleans())
    def change(self, service: str, type_url: str, bad: bool, calm: bool) -> None:
        self.owner.change(service, type_url, bad)
        self._perhaps_settle(calm)

    @rule(service=services, to=services, calm=st.booleans())
    def redirect(self, service: str, to: str, calm: bool) -> None:
        self.owner.redirect(service, to)
        self._perhaps_settle(calm)

    @rule(service=services, calm=st.booleans())
    def withdraw(self, service: str, calm: bool) -> None:
        self.owner.withdraw(service)
        self._perhaps_settle(calm)

    @rule(service=services, alias=aliases, calm=st.booleans())
    def ask(self, service: str, alias: str, calm: bool) -> None:
        self.client.ask(f"rc/{service}{alias}")
        self._perhaps_settle(calm)

    @rule()
    def forget_names(self) -> None:
        self.client.forget_names()

    @rule()
    def flush(self) -> None:
        self.wire += self.owner.session.flush()

    @precondition(lambda self: self.client.out)
    @rule(count=st.integers(1, 4))
    def requests_arrive(self, count: int) -> None:
        for _ in range(min(count, len(self.client.out))):
            self.owner.receive(self.client.out.popleft())
        self.flush()

    @precondition(lambda self: self.wire)
    @rule(count=st.integers(1, 4))
    def responses_arrive(self, count: int) -> None:
        for _ in range(min(count, len(self.wire))):
            self.client.take(self.wire.popleft())

    @rule()
    def settle(self) -> None:
        """Everything that is under way arrives, and what follows from it."""
        self.flush()
        for _ in range(1000):
            if not (self.wire or self.client.out):
                return
            while self.wire:
                self.client.take(self.wire.popleft())
            while self.client.out:
                self.owner.receive(self.client.out.popleft())
            self.flush()
        raise AssertionError("it never comes to rest")

    def _perhaps_settle(self, calm: bool) -> None:
        if calm:
            self.settle()

    def teardown(self) -> None:
        self.owner.repair()
        self.settle()
        client, session, wanted = self.client, self.owner.session, self.owner.wanted()
        assert {k: version for k, (version, _) in client.holds.items()} == {k: r.version for k, r in wanted.items()}
        assert not (client.waiting or client.warming or client.ambiguous)
        assert session.in_sync, session.pending
        assert not session.rejections
        for type_url in (CDS, EDS, VHDS):
            assert session.held(type_url) == {n: r.version for (t, n), r in wanted.items() if t == type_url}
        assert all(session.acknowledged(*key) and session.holds(*key) for key in wanted)
        assert not session.flush()


Stream.TestCase.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
TestTheClientAlwaysEndsWithWhatIsWanted: Callable[..., Any] = Stream.TestCase
