"""What agents tell of the decisions of access rules, and the sum of it that is shown. It has nothing of requests but who asked.

An agent's counts are since its start, and its own instance's alone: whatever rules it names, they add to no other's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from tulle.api.views import DecisionView
from tulle.model.decisions import LONGEST, MOST, What

_Text = Annotated[str, Meta(max_length=LONGEST, pattern=r"^[ -~]*$")]
_Count = Annotated[int, Meta(ge=0, lt=2**53)]


class Count(Struct, frozen=True, forbid_unknown_fields=True):
    """ago: seconds since it was decided last; clocks of other machines may be wrong. The others: as in a DecisionView."""

    what: What
    source: _Text
    place: _Text
    caller: _Text
    count: _Count
    ago: Annotated[float, Meta(ge=0, lt=1e10)]


class Decisions(Struct, frozen=True, forbid_unknown_fields=True):
    """other: decisions of further kinds. lost: those that could not be read."""

    counts: Annotated[tuple[Count, ...], Meta(max_length=MOST)]
    other: _Count = 0
    lost: _Count = 0


class Heard(NamedTuple):
    """at: when, Unix time in seconds."""

    decisions: Decisions
    at: float


def summed(heard: Iterable[Heard], sources: Collection[str] | None = None) -> list[DecisionView]:
    """Over all that has been heard, the most frequent first. sources: only of these, if given."""
    found: dict[tuple[What, str, str, str], tuple[int, float]] = {}
    for decisions, at in heard:
        for one in decisions.counts:
            if sources is None or one.source in sources:
                kind = (one.what, one.source, one.place, one.caller)
                count, last = found.get(kind, (0, 0.0))
                found[kind] = (count + one.count, max(last, at - one.ago))
    views = (DecisionView(*kind, count, last) for kind, (count, last) in found.items())
    return sorted(views, key=lambda one: (-one.count, one.what, one.source, one.place, one.caller))


def by_source(heard: Iterable[Heard], sources: Iterable[str]) -> Mapping[str, list[DecisionView]]:
    """By declared resource."""
    found: defaultdict[str, list[DecisionView]] = defaultdict(list)
    for view in summed(heard, frozenset(sources)):
        found[view.source].append(view)
    return found
