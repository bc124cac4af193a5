"""The numbers of one flow over time: slots of one length, the newest of them; older ones are overwritten.

Memory grows with what is there: a row for each slot that had anything, a column for each number that was ever more than 0.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from operator import add, itemgetter

from tulle.telemetry.figures.sums import WIDTH, Sum

_NONE = -1


class Ring:
    """slots: how many; width: numbers in each. Single precision is enough for a slot, and half the memory."""

    __slots__ = ("_columns", "_rows", "_slots", "_which", "_width")

    def __init__(self, slots: int, width: int = WIDTH) -> None:
        self._slots, self._width = slots, width
        self._empty()

    def _empty(self) -> None:
        self._rows = array("h", [_NONE]) * self._slots  # by a slot's place: which row it has
        self._which = array("q")  # by row: which slot it is
        self._columns: dict[int, array[float]] = {}  # by a number's place: a number for each row

    def add(self, slot: int, numbers: Sequence[float], part: float = 1.0) -> None:
        """part: what share of the numbers."""
        row = self._row(slot)
        if row == _NONE:
            return
        for place, number in enumerate(numbers):
            if number:
                column = self._columns.get(place)
                if column is None:
                    column = self._columns[place] = array("f", bytes(4 * len(self._which)))
                column[row] += number * part

    def total(self, first: int, last: int) -> Sum:
        """Of the slots from `first` to `last`, both included."""
        found = Sum()
        rows = [row for _, row in self._held(first, last)]
        if rows:
            whole = len(rows) == len(self._which)
            for place, column in self._columns.items():
                found.numbers[place] = sum(column if whole else map(column.__getitem__, rows))
        return found

    def mark(self, told: bytearray, first: int) -> None:
        """With 1 each slot from `first` on that has anything."""
        for slot, _ in self._held(first, first + len(told) - 1):
            told[slot - first] = 1

    def add_to(
        self, columns: dict[int, list[float]], told: bytearray, first: int, without: bytearray | None = None
    ) -> None:
        """To columns, by a number's place, with a number for each slot from `first` on.

        Slots that are marked in `without` are left out; the others are marked in `told`.
        """
        held = self._held(first, first + len(told) - 1)
        if without:
            held = [(slot, row) for slot, row in held if not without[slot - first]]
        if not held:
            return
        for slot, _ in held:
            told[slot - first] = 1
        if 4 * len(held) < len(told):
            for place, into in columns.items():
                if column := self._columns.get(place):
                    for slot, row in held:
                        into[slot - first] += column[row]
            return
        rows = [len(self._which)] * (len(told) + 1)  # one that holds 0; and two are picked at least
        for slot, row in held:
            rows[slot - first] = row
        picked = itemgetter(*rows)
        for place, into in columns.items():
            if column := self._columns.get(place):
                columns[place] = list(map(add, into, picked([*column, 0.0])))

    def each(self, first: int, last: int) -> Iterator[tuple[int, Sequence[float]]]:
        """Those that have anything, in the order of time."""
        for slot, row in self._held(first, last):
            numbers = array("f", bytes(4 * self._width))
            for place, column in self._columns.items():
                numbers[place] = column[row]
            yield slot, numbers

    def has(self, first: int, last: int) -> bool:
        """Whether any of these slots has anything."""
        return bool(self._held(first, last))

    def forget(self, before: int) -> None:
        """Gives memory back, where at least half of the rows are of slots before this one."""
        if not self._which or min(self._which) >= before:
            return
        old = sum(slot < before for slot in self._which)
        if 2 * old < len(self._which):
            return
        kept = list(self.each(before, max(self._which)))
        self._empty()
        for slot, numbers in kept:
            self.add(slot, numbers)

    def _row(self, slot: int) -> int:
        """Of that slot, which has one afterwards; _NONE if it is too old to have one."""
        place = slot % self._slots
        row = self._rows[place]
        if row == _NONE:
            row = self._rows[place] = len(self._which)
            self._which.append(slot)
            for column in self._columns.values():
                column.append(0.0)
        elif self._which[row] > slot:
            return _NONE
        elif self._which[row] < slot:
            self._which[row] = slot
            for column in self._columns.values():
                column[row] = 0.0
        return row

    def _held(self, first: int, last: int) -> list[tuple[int, int]]:
        """Slots that have a row, with it, in the order of time."""
        first = max(first, last - self._slots + 1, 0)
        which, rows, slots = self._which, self._rows, self._slots
        if len(which) <= last - first:
            return sorted([(slot, row) for row, slot in enumerate(which) if first <= slot <= last])
        found = [(slot, rows[slot % slots]) for slot in range(first, last + 1)]
        return [(slot, row) for slot, row in found if row != _NONE and which[row] == slot]
