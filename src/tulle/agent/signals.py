"""Signals to the agent: those that ask it to end, and those that are the program's.

A signal that was ignored when the agent was started (nohup, a shell's background job) stays ignored, as is the custom.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PASS_ON = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGQUIT)


class Signals:
    """first: the signal that asked the agent to end; 0: none so far."""

    def __init__(self) -> None:
        self.first = 0
        self.receiver: Callable[[int], None] = lambda _: None
        self._stops: asyncio.Queue[int] = asyncio.Queue()

    async def stop(self) -> None:
        """Waits for one more signal that asks to end: the first to end in good order, each further one to hurry."""
        number = await self._stops.get()
        self.first = self.first or number

    def take(self, number: int) -> None:
        if number in _STOP:
            self._stops.put_nowait(number)
        else:
            self.receiver(number)


@contextmanager
def handled_signals() -> Iterator[Signals]:
    """Handles signals within the block; those that aren't stops go to `receiver`."""
    loop = asyncio.get_running_loop()
    signals = Signals()
    handled = [number for number in (*_STOP, *_PASS_ON) if signal.getsignal(number) is not signal.SIG_IGN]
    for number in handled:
        loop.add_signal_handler(number, signals.take, number)
    try:
        yield signals
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
