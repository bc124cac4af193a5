"""What a request has changed: its endpoint says it here, and the audit log gets it (callers.py).

What an endpoint does not say is logged all the same, by its path: so no change is missed, but for its before and after.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from starlette.requests import Request


class Made(Struct, frozen=True):
    """what: is changed. before, after: as JSON; None where there was or is no such thing."""

    what: str
    before: Any = None
    after: Any = None


class Changes:
    def __init__(self) -> None:
        self.made: list[Made] = []
        self.is_none = False

    def add(self, what: str, before: Any = None, after: Any = None) -> None:
        self.made.append(Made(what, before, after))

    def none(self) -> None:
        """Nothing was changed: it was a trial, or all is already as it should be."""
        self.is_none = True


def changes_of(request: Request) -> Changes:
    found = request.scope["state"]["changes"]
    assert isinstance(found, Changes)
    return found
