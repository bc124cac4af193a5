"""What becomes of a resource that is written."""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
