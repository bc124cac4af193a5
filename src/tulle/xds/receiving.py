"""A client's request: what it changes in the state of its stream, and what of it is news to the owner.

Source: xDS protocol, "Incremental xDS" and "Unsubscribing From Resources". A request may acknowledge a response and
change subscriptions at once; its nonce only says which response it acknowledges.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tulle.xds.requests import WILDCARD, Accepted, Asked, Dropped, Event, Held, Rejected, Request
from tulle.xds.resources import Resource
from tulle.xds.state import Sent, State
from tulle.xds.subscription import Subscription


def receive(state: State, request: Request) -> Iterator[Event]:
    """Take one request; it has its effect when the iterator has come to its end."""
    subscription = state.subscription(request.type_url)
    yield from _settle(state, subscription, request)
    if request.unsubscribe:
        yield _unsubscribe(state, subscription, request.unsubscribe)
    first = not subscription.heard
    held = _begin(state, subscription, request) if first else {}
    if held:
        yield Held(request.type_url, held)
    names = tuple(name for name in request.subscribe if name != WILDCARD)
    if names:
        subscription.names.update(names)
        for name in names:
            if name not in held:
                subscription.await_answer(name)
        yield Asked(request.type_url, names)
    if len(names) < len(request.subscribe):
        subscription.everything = True
        subscription.dirty.update(dict.fromkeys(subscription.wanted))
    if first:
        subscription.unanswered &= subscription.names
        subscription.doubtful.update(subscription.unanswered if held else ())
    else:
        subscription.doubtful.difference_update(names)


def _begin(state: State, subscription: Subscription, request: Request) -> Mapping[str, str]:
    """The first request of a type on this stream. Gives what the client holds of it from an earlier one."""
    subscription.heard = True
    subscription.everything = WILDCARD in request.subscribe or (subscription.kind.wildcard and not request.subscribe)
    # A client that starts waits for an answer, even when "all there is" is nothing.
    subscription.owed = subscription.everything and not request.held
    asked = set(request.subscribe)
    held = {name: version for name, version in request.held.items() if subscription.everything or name in asked}
    state.reconnected |= bool(held)
    for name, version in held.items():
        resource = Resource(request.type_url, name, version)
        subscription.held[name] = resource
        subscription.unknown.add(name)
        subscription.dirty[name] = None
        state.arrived(resource.key)
    return held


def _unsubscribe(state: State, subscription: Subscription, names: tuple[str, ...]) -> Dropped:
    subscription.names.difference_update(names)
    subscription.unanswered.difference_update(names)
    dropped = set(names)
    if WILDCARD in names:
        subscription.everything = False
        dropped |= {*subscription.held, *subscription.under_way} - subscription.names
    for name in dropped:
        if not subscription.everything:
            _forget(state, subscription, name)
        elif subscription.current(name) is not None:
            # "All there is" may hold it too. The client can't know, and waits to be told.
            subscription.await_answer(name)
    return Dropped(subscription.kind.type_url, tuple(name for name in names if name != WILDCARD))


def _forget(state: State, subscription: Subscription, name: str) -> None:
    """The client no longer holds the resource, nor what is under way to it."""
    state.dependencies.unblock((subscription.kind.type_url, name))
    state.dependencies.release(subscription.held.pop(name, None))
    for sent in state.sent.values():
        if sent.subscription is subscription:
            state.dependencies.release(sent.entries.pop(name, None))
    subscription.unknown.discard(name)
    subscription.under_way.pop(name, None)
    subscription.rejected.pop(name, None)
    subscription.leaving.pop(name, None)


def _settle(state: State, subscription: Subscription, request: Request) -> Iterator[Event]:
    """The acknowledgement or rejection in a request; nothing if it has none, or for no response that is waited for."""
    sent = state.sent.get(request.nonce)
    if sent is None or sent.subscription is not subscription:
        return
    del state.sent[request.nonce]
    for name, resource in sent.entries.items():
        if subscription.under_way.get(name, ("",))[0] == request.nonce:
            del subscription.under_way[name]
        if request.error is None:
            yield from _accept(state, subscription, name, resource)
        else:
            yield from _reject(state, sent, name, resource, request.error)


def _accept(state: State, subscription: Subscription, name: str, resource: Resource | None) -> Iterator[Accepted]:
    state.dependencies.release(subscription.held.pop(name, None))
    subscription.unknown.discard(name)
    if resource is not None:
        subscription.held[name] = resource
        wanted = subscription.wanted.get(name)
        if wanted is not None and wanted.requires != resource.requires:
            subscription.dirty[name] = None  # it may be the same but for what it requires
        yield Accepted(resource.type_url, name, resource.version)


def _reject(state: State, sent: Sent, name: str, resource: Resource | None, error: str) -> Iterator[Rejected]:
    subscription = sent.subscription
    if resource is None:
        yield Rejected(subscription.kind.type_url, name, "", error)
        return
    state.dependencies.release(resource)
    subscription.unanswered |= subscription.names.intersection(resource.answers)
    if not sent.alone:
        subscription.alone.add(name)
        subscription.dirty[name] = None
        return
    event = Rejected(resource.type_url, name, resource.version, error)
    wanted = subscription.wanted.get(name)
    if wanted is not None and wanted.version == resource.version:
        subscription.rejected[name] = event
    yield event
