"""Open files: as many as allowed for the agent, its Envoy and its reaper; for the program what its user had.

A connection through the sidecar costs two of them, and the usual soft limit is 1,024. The program keeps that limit: a
higher one breaks programs that use select(2), which is why systemd's default is what it is (systemd.exec(5),
LimitNOFILE=). The agent calls `raise_open_files` first of all, and hands what it returns to its reaper, whose child
calls `limit_open_files` right before it becomes the program.
"""

from __future__ import annotations

import resource

# Some systems allow a thousand million, and there are programs that walk through all that are allowed.
_ENOUGH = 1 << 20


def raise_open_files() -> int:
    """Raises this process's soft limit, for its children as well. Returns the one that it had."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return soft


def limit_open_files(soft: int) -> None:
    """Gives this process a soft limit again that it or its parent had. The hard limit has not changed meanwhile."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
