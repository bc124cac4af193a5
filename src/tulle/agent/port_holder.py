"""Who listens on a TCP port of this machine, as far as /proc lets us see it."""

from __future__ import annotations

from tulle.agent.proc import described, listeners, processes, sockets_of


def holder_of(port: int) -> str | None:
    """`process 4711 (python b.py)`; None if it can't be seen, as with other users' processes."""
    sockets = {listener.inode for listener in listeners() if listener.port == port}
    if not sockets:
        return None
    return next((described(process) for process in processes() if sockets & sockets_of(process)), None)
