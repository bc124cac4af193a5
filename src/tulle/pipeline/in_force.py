"""On how many proxies a declared resource is in force: those that hold something made of it, and have acknowledged it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable

from msgspec import Struct

from tulle.pipeline.view import View

MOST_PROXIES = 20  # that are named


class InForce(Struct):
    """acknowledged, refused: how many of the proxies that need it did so to all, or to a part of it.

    rejected: the first of those that refuse a part of it, and why.
    """

    needed: int = 0
    acknowledged: int = 0
    refused: int = 0
    rejected: list[tuple[str, str]] = []


def in_force(views: Iterable[View], sources: Container[str] | None = None) -> dict[str, InForce]:
    """By resource (`VirtualService default/reviews`), of all or of these. What no proxy needs is not there.

    views: the newest of each proxy.
    """
    found: defaultdict[str, InForce] = defaultdict(InForce)
    for view in views:
        count(found, view, sources)
    return dict(found)


def count(found: defaultdict[str, InForce], view: View, sources: Container[str] | None = None) -> None:
    """One proxy more."""
    for source, state in view.in_force(sources).items():
        one = found[source]
        one.needed += 1
        one.acknowledged += state.acknowledged
        one.refused += bool(state.rejection)
        if state.rejection and len(one.rejected) < MOST_PROXIES:
            one.rejected.append((view.proxy_id, state.rejection))
