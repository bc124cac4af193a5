"""Who listens on a TCP port of this machine, as far as /proc lets us see it."""

from __future__ import annotations

from collections.abc import Collection

from tulle.agent.proc import described, listeners, processes, sockets_of


def holder_of(port: int) -> str | None:
    """`process 4711 (python b.py)`; None if it can't be seen, as with other users' processes."""
    process = process_with({listener.inode for listener in listeners() if listener.port == port})
    return described(process) if process else None


def process_with(sockets: Collection[str]) -> int | None:
    """One that holds any of these, which are inodes; None if it can't be seen."""
    if not sockets:
        return None
    return next((process for process in processes() if not sockets_of(process).isdisjoint(sockets)), None)
