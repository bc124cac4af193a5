"""From mutual TLS to plain text and back, without a lost call: the door before the callers, and the callers before the door.

Who is called in plain text alone (`Mesh.plain`) has a door that takes both, always. A caller that is told before that door is
open, or a door that closes before its last caller is told, loses calls, and not all may be repeated. So where a policy turns an
instance to plain text, callers stay with mutual TLS until its sidecar has acknowledged the door; and where it turns one away
from it, the door stays open until all sidecars that hold the instance have acknowledged how to call it now.

Time goes by in beats, each a second. From an acknowledgement to the next beat, threads of Envoys take up what was acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from tulle.model.names import ServiceName
from tulle.resolve.mesh import Instance, Member, Mesh

# A sidecar that acknowledges nothing holds no door open: what it then calls in plain text is refused.
MOST_BEATS = 10


class Turning(Struct, frozen=True):
    """Instances under way, each with how many beats that may take at most."""

    opening: Mapping[Member, int] = {}
    closing: Mapping[Member, int] = {}

    def __bool__(self) -> bool:
        return bool(self.opening or self.closing)


def turned(turning: Turning, before: Mesh, after: Mesh) -> Turning:
    """What is under way once the mesh has changed."""
    if before.plain is after.plain:
        return turning
    opening, closing = dict(turning.opening), dict(turning.closing)
    for member in after.plain.keys() - before.plain.keys():
        if closing.pop(member, None) is None:
            opening[member] = MOST_BEATS
    for member in before.plain.keys() - after.plain.keys():
        if opening.pop(member, None) is None and member[0] in after.proxies:
            closing[member] = MOST_BEATS
    return Turning(opening, closing)


def beaten(
    turning: Turning, mesh: Mesh, is_open: Callable[[Member], bool], is_told: Callable[[Member], bool]
) -> Turning:
    """A beat later. is_open: whether its door is known to take plain text. is_told: whether all its callers know better."""
    alive = {(proxy.id, workload.id) for proxy in mesh.proxies.values() for workload in proxy.workloads}
    # Without a word of its sidecar an instance is called by mutual TLS, which it takes as well.
    opening = {one: 1 if is_open(one) and left > 1 else left - is_open(one) for one, left in turning.opening.items()}
    closing = {one: min(left - 1, 1) if is_told(one) else left - 1 for one, left in turning.closing.items()}
    return Turning(_left(opening, alive), _left(closing, alive))


def with_turning(mesh: Mesh, turning: Turning) -> Mesh:
    """The mesh in which these are under way, and no others."""
    return replace(mesh, opening=frozenset(turning.opening), closing=frozenset(turning.closing))


def services_of(mesh: Mesh, members: Iterable[Member]) -> dict[Member, set[ServiceName]]:
    """By which names instances are called."""
    found: dict[Member, set[ServiceName]] = {member: set() for member in members}
    for service in mesh.services.values():
        for instance in (*service.instances, *service.chosen):
            if (member := _member(instance)) in found:
                found[member].add(service.name)
    return found


def _member(instance: Instance) -> Member:
    return instance.proxy, instance.workload.id


def _left(beats: Mapping[Member, int], alive: Collection[Member]) -> dict[Member, int]:
    return {member: left for member, left in beats.items() if left > 0 and member in alive}
