"""On how many proxies a declared resource is in force: those that hold something made of it, and have acknowledged it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from msgspec import Struct

from tulle.pipeline.view import View

MOST_PROXIES = 20  # that are named


class InForce(Struct):
    """acknowledged of the proxies that need it; rejected: the first of those that refuse a part of it, and why."""

    needed: int = 0
    acknowledged: int = 0
    rejected: list[tuple[str, str]] = []


def in_force(views: Iterable[View]) -> dict[str, InForce]:
    """By resource (`VirtualService default/reviews`); those that no proxy needs are not there. views: the newest of each."""
    found: defaultdict[str, InForce] = defaultdict(InForce)
    for view in views:
        for source, state in view.in_force().items():
            one = found[source]
            one.needed += 1
            one.acknowledged += state.acknowledged
            if state.rejection and len(one.rejected) < MOST_PROXIES:
                one.rejected.append((view.proxy_id, state.rejection))
    return dict(found)
