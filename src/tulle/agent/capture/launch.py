"""What a mode of capture does around fork and exec of the program, inside the reaper.

The reaper is there as long as the program, so only the module of the plan's own mode is imported, and it should need
little: no typing, no collections, no dataclasses. How the plan comes about is the mode's own affair (`prepared`).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

HOOKED = ("redirect", "seccomp", "netns")
UNTOUCHED = ("proxy", "none")  # modes that do nothing around fork and exec


def of(plan: dict[str, Any], tell: Callable[[str], None]) -> Launch:
    """The hook of the plan's mode. tell: sends a line to the agent, `note TEXT` or `moved APP_PORT HOST_PORT`.

    It is made by `launch(plan, tell)` in `<mode>_launch.py`, which raises OSError when the machine does not give what
    it needs.
    """
    mode = plan["mode"]
    if mode in UNTOUCHED:
        return Launch()
    if mode not in HOOKED:
        raise ValueError(f"no mode of capture: {mode}")
    hook: Launch = __import__(f"tulle.agent.capture.{mode}_launch", fromlist=["launch"]).launch(plan, tell)
    return hook


class Launch:
    """No capture; what the modes override.

    in_child and after_fork are called once for the canary and once for each life of the program, never at the same
    time; what belongs to an earlier child may still be in use by processes that it has left behind.
    """

    def in_child(self) -> None:
        """In the new child, right before exec, already in its own session or process group.

        Raises OSError, which ends the child. All descriptors that are not to reach the program must be close-on-exec.
        """

    def after_fork(self, child: int) -> None:
        """In the reaper, right after fork; `in_child` runs at the same time. Raises OSError: the child is killed.

        It must return when the child fails or hangs in `in_child`: it is dead then, at the latest after the canary's
        time-out, so that a socket or pipe that only the child holds comes to its end.
        """

    def descriptors(self) -> Mapping[int, Callable[[], None]]:
        """Descriptors to wait for beside the reaper's own, and what to call when one is readable or hung up.

        Asked anew before each wait, so a descriptor that has come to its end must be left out from then on. An error
        that is raised by a call ends the reaper, and with it the program.
        """
        return {}

    def close(self) -> None:
        """In the reaper at the very end, when nothing of the program is left. May raise OSError, which is told."""
