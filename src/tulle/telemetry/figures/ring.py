"""The numbers of one flow over time: slots of one length, the newest of them; older ones are overwritten."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

from tulle.telemetry.figures.sums import WIDTH, Sum


class Ring:
    """slots: how many; width: numbers in each. Single precision is enough for a slot, and half the memory."""

    __slots__ = ("_numbers", "_slots", "_which", "_width")

    def __init__(self, slots: int, width: int = WIDTH) -> None:
        self._slots, self._width = slots, width
        self._which = array("q", [-1]) * slots  # which slot of time each place holds
        self._numbers = array("f", bytes(4 * width * slots))

    def add(self, slot: int, numbers: Sequence[float], part: float = 1.0) -> None:
        """part: what share of the numbers."""
        place = slot % self._slots
        first = place * self._width
        if self._which[place] != slot:
            if self._which[place] > slot:  # too old
                return
            self._which[place] = slot
            self._numbers[first : first + self._width] = array("f", bytes(4 * self._width))
        for offset, number in enumerate(numbers):
            if number:
                self._numbers[first + offset] += number * part

    def total(self, first: int, last: int) -> Sum:
        """Of the slots from `first` to `last`, both included."""
        found = Sum()
        for _, numbers in self.each(first, last):
            found.add(numbers)
        return found

    def each(self, first: int, last: int) -> Iterator[tuple[int, Sequence[float]]]:
        """Those that have anything, in the order of time."""
        for slot in range(max(first, last - self._slots + 1, 0), last + 1):
            place = slot % self._slots
            if self._which[place] == slot:
                yield slot, self._numbers[place * self._width : (place + 1) * self._width]
