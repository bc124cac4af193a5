"""What an Envoy shares with those that take over from it: a file in /dev/shm, which Envoy itself never removes.

A link in the agent's folder leads to it, so that it is found and removed by whoever removes the folder: the agent, its
reaper, or the next agent. The reaper is to stay small, so next to nothing is imported.
"""

# ruff: noqa: PTH108, PTH115
# pathlib would cost memory for as long as the program runs.

from __future__ import annotations

import os

LINK = ".shared-memory"


def remove_shared_memory(folder: str) -> None:
    """Of an agent's folder. Envoys that have it open keep it."""
    link = f"{folder}/{LINK}"
    try:
        target = os.readlink(link)
        os.unlink(link)
        os.unlink(target)
    except OSError:  # another has removed it, or there was none
        pass
