"""How a snapshot is taken into the mesh when one of its facts can't be: without that one, which is tried again with the next.

Normally a snapshot is applied as a whole. If that fails it is halved until the facts are found that are to blame. What the
mesh knew before of these it goes on to know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tulle.model.snapshot import Snapshot
from tulle.pipeline.mistakes import Mistake, told
from tulle.resolve import index
from tulle.resolve.mesh import Changed, Mesh

# Of those that were kept out before: each costs a try with every snapshot.
_MOST_TRIED_AGAIN = 10
_KINDS = {
    "proxies": "proxy",
    "services": "service",
    "callees": "what is called by",
    "resources": "",
    "key_sets": "key set",
}

Key = tuple[str, Any]  # of a fact: the field of Snapshot, and the key there


class KeptOut(Struct, frozen=True):
    """A fact that could not be taken in. fact: None is one that goes."""

    fact: object
    why: str


class Taken(Struct, frozen=True):
    """The mesh with what could be taken in. kept_out: what could not, now or before, the longest untried first."""

    mesh: Mesh
    changed: Changed
    kept_out: Mapping[Key, KeptOut] = {}
    mistakes: tuple[Mistake, ...] = ()


def take(mesh: Mesh, snapshot: Snapshot, kept_out: Mapping[Key, KeptOut] | None = None) -> Taken:
    """kept_out: what could not be taken in before; the snapshot may replace some of it."""
    facts = {(kind, key): fact for kind in _KINDS for key, fact in getattr(snapshot, kind).items()}
    waiting = {key: kept for key, kept in (kept_out or {}).items() if key not in facts}
    attempt = _Attempt(mesh, Snapshot(snapshot.revision, revoked=snapshot.revoked))
    attempt.apply(list(facts.items()))
    again = dict(islice(waiting.items(), _MOST_TRIED_AGAIN))
    if again:
        attempt.apply([(key, kept.fact) for key, kept in again.items()])
    if attempt.failed and snapshot.revoked is not None:
        attempt.apply([])  # it came with facts of which perhaps none could be taken in
    after = attempt.mesh
    if after.revision < snapshot.revision:  # nothing of it could be taken in
        after = replace(after, revision=snapshot.revision)
    left = {key: kept for key, kept in waiting.items() if key not in again}
    failed = {key: KeptOut(fact, told(error)) for key, (fact, error) in attempt.failed.items()}
    before = kept_out or {}
    news = (
        Mistake(words(key), error)
        for key, (_, error) in attempt.failed.items()
        if key not in before or before[key].why != told(error)
    )
    return Taken(after, attempt.changed, {**left, **failed}, tuple(news))


def words(key: Key) -> str:
    """`ServiceEntry default/api`, `proxy service-a-1b2c3d`."""
    kind, name = key
    return f"{_KINDS[kind]} {name}".strip()


class _Attempt:
    """As much of a snapshot as can be taken in. whole: what of it can't be divided."""

    def __init__(self, mesh: Mesh, whole: Snapshot) -> None:
        self.mesh = mesh
        self.changed = Changed()
        self.failed: dict[Key, tuple[object, Exception]] = {}
        self._whole = whole

    def apply(self, facts: list[tuple[Key, object]]) -> None:
        try:
            after, changed = index.apply(self.mesh, _with(self._whole, facts))
        except Exception as error:
            if len(facts) > 1:
                self.apply(facts[: len(facts) // 2])
                self.apply(facts[len(facts) // 2 :])
            elif facts:
                ((key, fact),) = facts
                self.failed[key] = (fact, error)
            else:
                raise
        else:
            self.mesh, self.changed = after, _both(self.changed, changed)


def _with(whole: Snapshot, facts: Iterable[tuple[Key, object]]) -> Snapshot:
    found: dict[str, dict[Any, Any]] = {kind: {} for kind in _KINDS}
    for (kind, key), fact in facts:
        found[kind][key] = fact
    return replace(whole, **found)


def _both(one: Changed, other: Changed) -> Changed:
    services = one.services | other.services
    return Changed(
        services=services,
        endpoints=(one.endpoints | other.endpoints) - services,
        proxies=one.proxies | other.proxies,
        names=one.names or other.names,
        wildcards=one.wildcards | other.wildcards,
        scopes=one.scopes | other.scopes,
        policed=one.policed | other.policed,
        everything=one.everything or other.everything,
    )
