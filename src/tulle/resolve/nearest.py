"""Which service a caller may have meant by a name that is none: a hint for a person, at a bounded price.

A name is compared with all services of a small mesh. In a large one only names with one letter more, less, swapped or replaced
are looked up. What the caller may not see is never named.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from string import ascii_lowercase, digits

from tulle.model.names import ServiceName
from tulle.resolve.callers import Caller
from tulle.resolve.mesh import Mesh
from tulle.resolve.rules import Scope
from tulle.resolve.services import offer

_COMPARED = 200  # services, and namespaces
_TRIED = 5
_LIKENESS = 0.75  # of 1; one wrong letter of a name of four is as much
_LETTERS = f"{ascii_lowercase}{digits}-"


def nearest(mesh: Mesh, caller: Caller, seen: Scope, name: ServiceName) -> ServiceName | None:
    """The service with the most similar name, of `name`'s own namespace or else the caller's if there are several."""
    if not name.namespace:
        return None
    by_label: dict[str, list[ServiceName]] = {}
    for candidate in _candidates(mesh, caller, name):
        if candidate.namespace and candidate != name:
            by_label.setdefault(candidate.name, []).append(candidate)

    def distance(candidate: ServiceName) -> tuple[bool, bool, ServiceName]:
        return candidate.namespace != name.namespace, candidate.namespace != caller.namespace, candidate

    for label in get_close_matches(name.name, by_label, _TRIED, _LIKENESS):
        for candidate in sorted(by_label[label], key=distance)[:_TRIED]:
            if offer(mesh, caller, seen, candidate) is not None:
                return candidate
    return None


def _candidates(mesh: Mesh, caller: Caller, name: ServiceName) -> Iterator[ServiceName]:
    if len(mesh.services) <= _COMPARED:
        yield from mesh.services
        return
    elsewhere = (ServiceName(namespace, name.name) for namespace in mesh.namespaces[:_COMPARED])
    misspelt = (
        ServiceName(space, label) for space in {name.namespace, caller.namespace} for label in _edits(name.name)
    )
    yield from (candidate for each in (elsewhere, misspelt) for candidate in each if candidate in mesh.services)


def _edits(label: str) -> Iterator[str]:
    """All that one slip of the finger makes of it; some of them twice."""
    for at in range(len(label) + 1):
        before, after = label[:at], label[at:]
        yield from (f"{before}{letter}{after}" for letter in _LETTERS)
        if after:
            yield f"{before}{after[1:]}"
            yield from (f"{before}{letter}{after[1:]}" for letter in _LETTERS)
        if len(after) > 1:
            yield f"{before}{after[1]}{after[0]}{after[2:]}"
