"""A process and all that comes from it: who must end with whom, and the end of them all.

For the agent, its reaper and their new children; the reaper is to stay small, so next to nothing is imported.
"""

# ruff: noqa: PTH123, PTH208
# pathlib would cost memory for as long as the program runs.

from __future__ import annotations

import os
import signal
import time

from tulle.agent.libc import prctl

KILL_SECONDS = 5.0
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36


def become_subreaper() -> None:
    """From now on orphaned descendants of this process become its children."""
    prctl(_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """To be called in a new child of `parent`: has the kernel kill it when the parent's thread that forked it ends."""
    prctl(_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call
        os._exit(1)


def kill_children(*spared: int) -> list[int]:
    """Kills the children of this process, and theirs when they become its own, until there are none but the `spared`.

    Those that are left after KILL_SECONDS: in an uninterruptible wait, or another user's (sudo).
    """
    deadline = time.monotonic() + KILL_SECONDS
    while True:
        children = [child for child in _children() if child not in spared]
        if not children or time.monotonic() > deadline:
            return children
        for child in children:
            try:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, os.WNOHANG)
            except (ProcessLookupError, PermissionError, ChildProcessError):
                pass
        time.sleep(0.002)


def _children() -> list[int]:
    """Of this process. Not /proc/self/task/*/children, which is not in every kernel."""
    own = str(os.getpid()).encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if fields[1] == own:
                found.append(int(name))
    return found
