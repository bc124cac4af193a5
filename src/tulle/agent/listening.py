"""Finds out by itself where a program listens: watches which TCP ports its process tree has.

Found is what has stood still for a moment, as a program may open one port after the other. `$PORT` needs no waiting:
whoever listens there has understood. Ports that the kernel gives away by itself (ip(7), ip_local_port_range) count only
if there is no other: they are those of multiprocessing, of debuggers, of notebooks. A port that has been the only one for
a while stays the one that is meant, whatever the program opens later.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial

from tulle.agent import proc
from tulle.agent.config import DEFAULT_SERVICE_PORT, Port
from tulle.agent.ports import ephemeral_range
from tulle.model.addresses import LOOPBACK
from tulle.model.well_known import TCP_PORTS

_OFTEN_SECONDS = 0.1  # between looks, until something is found or it takes longer than _LATE_SECONDS
_SELDOM_SECONDS = 1.0
_LATE_SECONDS = 10.0
_STILL_SECONDS = 0.3
_WALK_SECONDS = 2.0  # after so long the tree is looked at again, even if no socket has come or gone
_SURE_SECONDS = 10.0  # after so long as the only port, a port is the one that is meant
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  compared with, not bound


@dataclass(frozen=True, slots=True)
class Open:
    """One port of the program. port: as the program knows it; target, address: where it is really reached.

    target differs from port where the capture has moved the bind. address: loopback, but for a program that can't be
    reached there, as one that listens on ::1 alone. bound: the very addresses, in order; :: and 0.0.0.0 are all of them.
    """

    port: int
    target: int
    address: str
    process: int
    bound: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """The program's port. beside: what it has opened later, for whatever purpose."""

    open: Open
    beside: tuple[Open, ...] = ()

    def __str__(self) -> str:
        """For the user."""
        more = f", and on {_listed(self.beside)}, where no calls are led to" if self.beside else ""
        return f"the program listens on {self.open.port}{more}"


@dataclass(frozen=True, slots=True)
class Several:
    """More ports than one, and none of them is $PORT."""

    open: tuple[Open, ...]

    def __str__(self) -> str:
        """For the user, with what to do."""
        examples = " or ".join(f"--port {each.port}" for each in self.open[:2])
        return f"the program listens on several ports: {_listed(self.open)}; say which one callers mean: {examples}"


class Tree:
    """The ports on which the processes below `root` listen, in this network namespace.

    What listens in another one can't be reached by the sidecar; an isolated program's sockets are moved to this one.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._seen: frozenset[proc.Listener] = frozenset()
        self._walked = float("-inf")
        self._holders: dict[str, int] = {}

    def listening(self, now: float) -> dict[proc.Listener, int]:
        """With a process that holds it each. The tree is walked only if a socket has come or gone, or after a while."""
        there = proc.listeners()
        if there != self._seen or now - self._walked >= _WALK_SECONDS:
            self._walk()
            there = proc.listeners()
            self._seen, self._walked = there, now
        return {each: self._holders[each.inode] for each in there if each.inode in self._holders}

    def _walk(self) -> None:
        tree = sorted(proc.descendants(self._root))
        self._holders = {inode: process for process in reversed(tree) for inode in proc.sockets_of(process)}


def opened(listening: Mapping[proc.Listener, int], moved: Mapping[int, int]) -> list[Open]:
    """One a port, in order. moved: the program's port -> the one to which the capture has moved it."""
    known_as = {host: app for app, host in moved.items()}
    found: dict[int, Open] = {}
    bound: dict[int, tuple[str, ...]] = {}
    for each, process in sorted(listening.items(), key=lambda item: (item[0].port, item[0].address)):
        port = known_as.get(each.port, each.port)
        address = _reached_at(each.address)
        bound[port] = tuple(dict.fromkeys((*bound.get(port, ()), each.address)))
        if port not in found or address == LOOPBACK:
            found[port] = Open(port, each.port, address, process)
    return [replace(found[port], bound=bound[port]) for port in sorted(found)]


def decide(ports: Collection[Open], offered: int, ephemeral: range, sure: int | None = None) -> Found | Several | None:
    """Where calls should go; None: the program only calls others, so far.

    offered: what $PORT says. sure: the port that has been the only one for a while.
    """
    chosen = [each for each in ports if each.port not in ephemeral] or list(ports)
    for meant in (offered, sure):
        for each in ports:
            if each.port == meant:
                return Found(each, tuple(other for other in chosen if other != each))
    if len(chosen) > 1:
        return Several(tuple(chosen))
    return Found(chosen[0]) if chosen else None


def service_ports(found: Open, offered: int) -> tuple[Port, ...]:
    """The service's ports that follow from where its program listens."""
    there = partial(Port, target=found.target, address=found.address)
    if found.port in (offered, DEFAULT_SERVICE_PORT):
        return (there(DEFAULT_SERVICE_PORT),)
    if found.port in TCP_PORTS:
        return (there(found.port, protocol="tcp"),)
    return (there(found.port), there(DEFAULT_SERVICE_PORT))


async def changes(root: int, offered: int, moved: Mapping[int, int]) -> AsyncGenerator[Found | Several | None]:
    """What `decide` says of the tree below the process `root`, whenever that has changed and stood still; for ever.

    Begins with the first that is not None. moved: is read anew at each look, so it must hold whatever is moved now.
    """
    loop = asyncio.get_running_loop()
    tree, ephemeral = Tree(root), ephemeral_range()
    start = since = told_at = loop.time()
    told: Found | Several | None = None
    seen: Found | Several | None = None
    while True:
        now = loop.time()
        sure = told.open.port if isinstance(told, Found) and now - told_at >= _SURE_SECONDS else None
        looked = decide(opened(tree.listening(now), moved), offered, ephemeral, sure)
        if not _same(looked, seen):
            since = now
        seen = looked
        if not _same(seen, told) and (_is_offered(seen, offered) or now - since >= _STILL_SECONDS):
            if _reached(seen)[:1] != _reached(told)[:1]:
                told_at = now
            told = seen
            yield told
        settled = _same(seen, told) and (told is not None or now - start > _LATE_SECONDS)
        await asyncio.sleep(_SELDOM_SECONDS if settled else _OFTEN_SECONDS)


def _listed(ports: Collection[Open]) -> str:
    return ", ".join(f"{each.port} by {proc.described(each.process)}" for each in ports)


def _reached_at(address: str) -> str:
    address = address.removeprefix("::ffff:")  # an IPv4 address on an IPv6 socket (RFC 4291, 2.5.5.2)
    return LOOPBACK if address in _EVERYWHERE else address


def _is_offered(where: Found | Several | None, offered: int) -> bool:
    return isinstance(where, Found) and where.open.port == offered


def _same(one: Found | Several | None, other: Found | Several | None) -> bool:
    """Whether both lead to the same ports; which of several workers holds one does not matter."""
    return type(one) is type(other) and _reached(one) == _reached(other)


def _reached(where: Found | Several | None) -> list[tuple[int, int, str, tuple[str, ...]]]:
    if where is None:
        return []
    ports = where.open if isinstance(where, Several) else (where.open, *where.beside)
    return [(each.port, each.target, each.address, each.bound) for each in ports]
