"""How much it matters what an analysis finds."""

from __future__ import annotations

from enum import StrEnum


class Level(StrEnum):
    """ERROR: calls fail, or a whole resource has lost to another. WARNING: a part does nothing. INFO: it may be meant so."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
