"""What can go wrong with declared resources, beside what is wrong with their documents."""

from __future__ import annotations

from tulle.model.resources.resource import Ref


class Conflict(Exception):
    """Somebody else changed the resource since it was read; nothing was written. The message is for the user."""

    def __init__(self, ref: Ref) -> None:
        super().__init__(f"{ref} was changed by somebody else meanwhile: read it again, and make your change to that")


class TooMany(Exception):
    """More than can be written as one. The message is for the user."""
