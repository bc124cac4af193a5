"""The redirect mode in the reaper: the program's process moves to its cgroup before it becomes the program.

What the kernel then does with that cgroup's traffic is `redirect.py`. Whatever is left in the cgroup at the end is killed
with it, also what no longer descends from the reaper.
"""

from __future__ import annotations

from tulle.agent.capture import cgroup
from tulle.agent.capture.launch import Launch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def launch(plan: dict[str, Any], _: Callable[[str], None]) -> Launch:
    return _Redirected(plan["cgroup"])


class _Redirected(Launch):
    def __init__(self, path: str) -> None:
        self._path = path

    def in_child(self) -> None:
        cgroup.join(self._path)

    def close(self) -> None:
        cgroup.ended(self._path)
