"""tulle's own mistakes: what of a mesh, or of one proxy's configuration, can't be made, so that the last good stays.

One faulty object must not spoil the rest: whoever makes parts makes each of them for itself, and notes here what fails. A
mistake stands until that part is made, or is not needed any more; it is tried again when the facts change, and told once.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct


class Mistake(Struct, frozen=True):
    """part: what could not be made, in words."""

    part: str
    error: Exception


class Mistakes:
    """news: those that have not been told yet; for the owner to empty."""

    def __init__(self) -> None:
        self.news: list[Mistake] = []
        self._standing: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._standing)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """The parts, and why they can't be made."""
        return iter(list(self._standing.items()))

    def note(self, part: str, error: Exception) -> None:
        """It is told, unless it was the last time that this part was tried."""
        why = told(error)
        if self._standing.get(part) != why:
            self.news.append(Mistake(part, error))
        self._standing[part] = why

    def mended(self, part: str) -> None:
        """It could be made, or is not needed any more."""
        self._standing.pop(part, None)


def told(error: Exception) -> str:
    """As a user reads it."""
    return f"tulle's own mistake: {error!r}"
