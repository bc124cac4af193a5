"""The port of the xDS door: remembered, as running sidecars come back to it after a restart."""

from __future__ import annotations

import random
import socket
from pathlib import Path

from tulle.model.addresses import LOOPBACK

_LOWEST = 10000
_TRIES = 200


def choose(remembered: Path, wanted: int | None) -> int:
    """`wanted`, else the port that was used last, else a free one.

    Free ones are taken from below the kernel's ephemeral range (ip(7)), so that no outgoing connection has the port when
    the control plane comes back. Raises OSError if there is none.
    """
    return wanted or _read(remembered) or _free()


def remember(remembered: Path, port: int) -> None:
    """The port is the one that is used: it could be bound. Raises OSError if that can't be written down."""
    if _read(remembered) != port:
        aside = remembered.with_suffix(".new")
        aside.touch(mode=0o600)
        aside.write_text(f"{port}\n")
        aside.replace(remembered)


def _read(remembered: Path) -> int | None:
    try:
        port = int(remembered.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return port if 1 <= port <= 65535 else None


def _free() -> int:
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    candidates = range(_LOWEST, low) if low > _LOWEST + 1000 else range(_LOWEST, 65536)
    for port in random.sample(candidates, min(_TRIES, len(candidates))):
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port on {LOOPBACK} between {candidates[0]} and {candidates[-1]}")
