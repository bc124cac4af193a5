"""How many names that the mesh does not know one sidecar may ask for: what a client that scans names can cost.

Each such name is resolved, translated and kept; a refused one is answered at once, and costs next to nothing. The clock is
an argument.
"""

from __future__ import annotations

BURST = 200.0
PER_SECOND = 5.0


class Allowance:
    """A token bucket, full at first. refused: how often it was empty."""

    def __init__(self) -> None:
        self._left, self._at = BURST, 0.0
        self.refused = 0

    def take(self, now: float) -> bool:
        """Take one. now: in seconds, on a clock that only goes forward."""
        self._left = min(BURST, self._left + max(0.0, now - self._at) * PER_SECOND)
        self._at = max(self._at, now)
        if self._left < 1:
            self.refused += 1
            return False
        self._left -= 1
        return True
