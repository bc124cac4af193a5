"""Whether a program that has ended is started again, and when."""

from __future__ import annotations

import signal

import pytest

from tulle.agent.restarts import ALWAYS, NO, ON_FAILURE, Restarts, epitaph


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        (NO, 0, False),
        (NO, 1, False),
        (NO, -signal.SIGKILL, False),
        (ON_FAILURE, 0, False),
        (ON_FAILURE, 1, True),
        (ON_FAILURE, -signal.SIGSEGV, True),
        (ALWAYS, 0, True),
        (ALWAYS, 1, True),
        (ALWAYS, -signal.SIGTERM, True),
    ],
)
def test_the_policy_says_after_which_ends_it_is_started_again(policy: str, code: int, again: bool) -> None:
    assert (Restarts(policy).after(code, 1.0) is not None) is again


def pauses(*lifetimes: float) -> list[float]:
    restarts, found = Restarts(ALWAYS), []
    for lifetime in lifetimes:
        after = restarts.after(1, lifetime)
        assert after
        pause, restarts = after
        found.append(pause)
    return found


def test_each_pause_is_twice_the_one_before_up_to_half_a_minute() -> None:
    assert pauses(*[0.1] * 9) == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_program_that_ran_steadily_is_started_again_soon() -> None:
    assert pauses(0.1, 0.1, 9.9, 10.0, 0.1) == [0.5, 1, 2, 0.5, 1]


@pytest.mark.parametrize(
    ("code", "lifetime", "pause", "told"),
    [
        (0, 5.0, None, "the program has ended"),
        (0, 0.2, None, "the program has ended"),
        (3, 0.2, 0.5, "the program exited at once with exit code 3; starting it again in 0.5 s"),
        (3, 60.0, 2.0, "the program exited with exit code 3; starting it again in 2 s"),
        (0, 60.0, 0.5, "the program has ended; starting it again in 0.5 s"),
        (-signal.SIGKILL, 0.2, 30.0, "the program was ended by SIGKILL; starting it again in 30 s"),
        (-(signal.SIGRTMIN + 2), 0.2, None, f"the program was ended by signal {signal.SIGRTMIN + 2}"),
    ],
)
def test_the_user_is_told_how_it_ended_and_what_comes_now(
    code: int, lifetime: float, pause: float | None, told: str
) -> None:
    assert epitaph(code, lifetime, pause) == told
