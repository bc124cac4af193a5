"""Whether an ended program is started again, and when: `--restart no|on-failure|always`.

Values only: who calls it waits, and starts the program. A stop that was asked for is never followed by a start, so it
does not come here.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace

NO, ON_FAILURE, ALWAYS = POLICIES = ("no", "on-failure", "always")
_FIRST_SECONDS = 0.5
_LONGEST_SECONDS = 30.0
_STEADY_SECONDS = 10.0  # a program that ran so long is given the shortest pause again


@dataclass(frozen=True, slots=True)
class Restarts:
    """What is remembered from one end of the program to the next: how long the next pause is."""

    policy: str = NO
    pause: float = _FIRST_SECONDS

    def after(self, code: int, lifetime: float) -> tuple[float, Restarts] | None:
        """The seconds to wait before the next start, and what to remember; None if it is not started again.

        code: as in subprocess, negative for signals; a program that could not even be executed counts as failed.
        lifetime: in seconds.
        """
        if self.policy == NO or (self.policy == ON_FAILURE and code == 0):
            return None
        pause = _FIRST_SECONDS if lifetime >= _STEADY_SECONDS else self.pause
        return pause, replace(self, pause=min(2 * pause, _LONGEST_SECONDS))


def epitaph(code: int, lifetime: float, pause: float | None = None) -> str:
    """How the program ended, and whether it is started again (in `pause` seconds), for the user."""
    if code < 0:
        how = f"was ended by {_name(-code)}"
    elif code:
        how = f"exited {'at once ' if lifetime < 1 else ''}with exit code {code}"
    else:
        how = "has ended"
    then = "" if pause is None else f"; starting it again in {pause:g} s"
    return f"the program {how}{then}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most of the real-time signals have no name
        return f"signal {number}"
