"""The control plane's own log: its last lines, and of which level it is. One for the process, as Python's logging is."""

from __future__ import annotations

import logging

from tulle.model.log_lines import Ring


class OwnLog:
    def __init__(self) -> None:
        self.ring = Ring()

    @property
    def level(self) -> str:
        return self.ring.least

    def set_level(self, level: str) -> None:
        """From now on. Libraries stay as they are: what they say in detail may hold what must not be said."""
        self.ring.least = level
        logging.getLogger().setLevel(level.upper())


OWN_LOG = OwnLog()
