"""A timer that poll can wait for (timerfd_create(2)), which Python has from 3.13 only."""

from __future__ import annotations

import ctypes
import os

from tulle.agent.libc import checked, libc

_MONOTONIC = 1


class Timer:
    """Readable once in each period while it runs."""

    def __init__(self, seconds: float) -> None:
        self._descriptor = checked(libc.timerfd_create(_MONOTONIC, os.O_CLOEXEC | os.O_NONBLOCK))
        self._period = int(seconds * 1e9)
        self._runs = False

    def fileno(self) -> int:
        return self._descriptor

    def run(self, wanted: bool) -> None:
        """Starts or stops it; nothing changes if it is so already."""
        if wanted != self._runs:
            self._runs = wanted
            period = divmod(self._period if wanted else 0, 10**9)
            times = (ctypes.c_long * 4)(*period, *period)  # struct itimerspec: interval, first
            checked(libc.timerfd_settime(self._descriptor, 0, ctypes.byref(times), None))

    def rung(self) -> None:
        """Takes note that it was readable."""
        try:  # noqa: SIM105 (contextlib costs memory)
            os.read(self._descriptor, 8)
        except BlockingIOError:  # it was stopped in between
            pass

    def close(self) -> None:
        os.close(self._descriptor)
