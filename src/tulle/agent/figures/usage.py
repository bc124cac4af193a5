"""What processes use of the machine, as the kernel tells it (proc(5))."""
# ruff: noqa: PTH123
# As in proc.py.

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Usage:
    """Of processes that come and go. What one has used between the last look and its end is not known."""

    def __init__(self) -> None:
        self._seen: dict[int, float] = {}
        self.cpu = 0.0  # seconds
        self.memory = 0  # bytes, resident

    def look(self, processes: Iterable[int]) -> None:
        seen: dict[int, float] = {}
        self.memory = 0
        for process in processes:
            with suppress(OSError, ValueError, IndexError):  # it has ended
                seen[process] = used = _cpu(process)
                before = self._seen.get(process, 0.0)
                self.cpu += used - before if used >= before else used  # else another one has its number
                self.memory += _resident(process)
        self._seen = seen


def _cpu(process: int) -> float:
    with open(f"/proc/{process}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _resident(process: int) -> int:
    with open(f"/proc/{process}/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE
