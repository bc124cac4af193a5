"""What every way of capture has in common: what it is given, and what it makes of that.

A mode is a file of this folder with a context manager `prepared(settings)`; what it does around fork and exec of the
program is its launch hook (`launch.py`), in the reaper.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Place = tuple[str, int]  # an address and a port; 0.0.0.0 and :: are all addresses


class Unavailable(Exception):
    """This machine does not allow the mode; `str` says why, in the user's words."""


@dataclass(frozen=True, slots=True)
class Settings:
    """For one program.

    proxy: its sidecar's id. folder: the agent's own. outbound, inbound: Envoy's doors, and dns: the agent's DNS server
    (UDP and TCP), all on loopback. places: where the program will listen, as far as that is known at the start.
    nameservers: the resolvers of this machine, to which the program's questions would go.
    """

    proxy: str
    folder: Path
    outbound: int
    inbound: int
    dns: int
    places: tuple[Place, ...]
    nameservers: tuple[str, ...]


def _nothing(_: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Prepared:
    """A mode that is ready for the program to start.

    plan: JSON values for the reaper, "mode" among them, and "proxy" for the canary. environment: what the program needs
    beside. dns_sockets: bound, on which the agent is to answer beside its own on loopback. retarget: tells where the
    program listens, once that is known or changes. renew_nameservers: tells the machine's resolvers when they change.
    envoy_launch: called in Envoy's new process, right before it becomes Envoy. ipv6: whether connections by IPv6 come to
    the sidecar, at ::1.
    spans: bound, where the program could send spans, if it does not have this machine's loopback.
    source: `address:port`, from which connections claim to come, as nobody else knows it; "" where they can't claim that.
    """

    plan: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    dns_sockets: tuple[socket.socket, ...] = ()
    retarget: Callable[[Sequence[Place]], None] = _nothing
    renew_nameservers: Callable[[Sequence[str]], None] = _nothing
    envoy_launch: Callable[[], None] | None = None
    ipv6: bool = False
    spans: socket.socket | None = None
    source: str = ""
