"""One measured figure: all that the modules of this package have in common."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """name: short, for JSON. what: a row of the table, for people. reach: what it should stay under; None if only shown.

    note: how it was measured, or what it was made of.
    """

    name: str
    what: str
    value: float
    unit: str
    reach: float | None = None
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether it is what it should be; None if there is no such thing."""
        return None if self.reach is None else self.value < self.reach
