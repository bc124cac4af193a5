"""What to send to a client now, given the state of its stream: additions in the order of types, then removals.

A flush looks only at what was touched since the last one.
"""

from __future__ import annotations

from collections.abc import Iterator

from tulle.xds.resources import Resource, response
from tulle.xds.state import Sent, State
from tulle.xds.subscription import Subscription


def flush(state: State) -> Iterator[bytes]:
    """The encoded responses to send now. Each counts as sent when it is given."""
    subscriptions = state.subscriptions.values()
    more = True
    while more:  # what is sent may be what something earlier waited for
        more = False
        for subscription in subscriptions:
            if subscription.dirty and subscription.heard:
                more = True
                yield from _add(state, subscription)
    for subscription in subscriptions:
        if subscription.owed and not subscription.wanted:
            yield _respond(state, subscription)
    for subscription in reversed(subscriptions):
        if subscription.leaving and not _may_be_required(state, subscription):
            yield from _remove(state, subscription)


def _add(state: State, subscription: Subscription) -> Iterator[bytes]:
    names, subscription.dirty = subscription.dirty, {}
    together: list[Resource] = []
    absent: list[str] = []
    for name in names:
        resource = _examine(state, subscription, name)
        if resource is None:
            if _is_absent(subscription, name):
                absent.append(name)
        elif subscription.kind.singly or name in subscription.alone:
            yield _respond(state, subscription, (resource,))
        else:
            together.append(resource)
    if together:
        yield _respond(state, subscription, tuple(together))
    if absent:
        yield _respond(state, subscription, removed=tuple(absent))


def _examine(state: State, subscription: Subscription, name: str) -> Resource | None:
    """The resource of that name if it is to be sent now."""
    key = subscription.kind.type_url, name
    state.dependencies.unblock(key)
    subscription.leaving.pop(name, None)
    current, wanted = subscription.current(name), subscription.wanted.get(name)
    if wanted is None:
        if current is not None:
            subscription.leaving[name] = None
        return None
    if not subscription.asks_for(wanted) or subscription.refuses(wanted):
        return None
    if current is not None and current.version == wanted.version:
        if current is subscription.held.get(name):
            _recognise(state, subscription, current, wanted)
        if not subscription.waits_for(wanted):
            return None
    for requirement in wanted.requires:
        if state.current(requirement) is None:
            state.dependencies.block(key, requirement)
            return None
    return wanted


def _recognise(state: State, subscription: Subscription, held: Resource, wanted: Resource) -> None:
    """What the client holds is what it should hold, so it requires what that does. If it is from an earlier stream,
    this and what it answered were not known; if not, the same body may have come to require something else."""
    if wanted.name in subscription.unknown:
        subscription.unknown.discard(wanted.name)
        subscription.unanswered -= subscription.doubtful.intersection(wanted.aliases)
    elif held.requires == wanted.requires:
        return
    subscription.held[wanted.name] = wanted
    state.dependencies.hold(wanted)
    state.dependencies.release(held)


def _is_absent(subscription: Subscription, name: str) -> bool:
    """Whether the client waits for a name for which there is nothing, and is to be told so by a removal."""
    return (
        name in subscription.unanswered
        and name not in subscription.wanted
        and name not in subscription.leaving
        and not subscription.kind.owner_answers
    )


def _remove(state: State, subscription: Subscription) -> Iterator[bytes]:
    type_url = subscription.kind.type_url
    free = tuple(name for name in subscription.leaving if not state.dependencies.is_required((type_url, name)))
    for name in free:
        del subscription.leaving[name]
    if free:
        yield _respond(state, subscription, removed=free)


def _may_be_required(state: State, subscription: Subscription) -> bool:
    """Whether the client may hold something from an earlier stream that requires resources of this type."""
    later = [s for s in state.subscriptions.values() if s.rank > subscription.rank]
    return any(s.unknown for s in later) or (state.reconnected and any(map(_is_silent, later)))


def _is_silent(subscription: Subscription) -> bool:
    """Whether the client is yet to say what it holds of a type that may require others."""
    requiring = any(resource.requires for resource in subscription.wanted.values())
    return not subscription.heard and (subscription.kind.wildcard or requiring)


def _respond(
    state: State, subscription: Subscription, resources: tuple[Resource, ...] = (), removed: tuple[str, ...] = ()
) -> bytes:
    state.responses += 1
    nonce = str(state.responses)
    entries: dict[str, Resource | None] = {resource.name: resource for resource in resources}
    entries.update(dict.fromkeys(removed))
    state.sent[nonce] = Sent(subscription, entries, alone=len(entries) == 1)
    subscription.owed = False
    subscription.unanswered.difference_update(removed)
    for name, entry in entries.items():
        subscription.under_way[name] = nonce, entry
    for resource in resources:
        _note_sent(state, subscription, resource)
    return response(subscription.kind.type_url, nonce, resources, removed)


def _note_sent(state: State, subscription: Subscription, resource: Resource) -> None:
    subscription.alone.discard(resource.name)
    subscription.unanswered.difference_update(resource.answers)
    state.dependencies.hold(resource)
    state.arrived(resource.key)
    if subscription.kind.wakes:
        woken = state.subscription(subscription.kind.wakes)
        if resource.name in woken.names or not woken.heard:
            woken.await_answer(resource.name)
