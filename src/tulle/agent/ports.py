"""The ports of one agent: two for its Envoy, one for its program, one for its resolver.

They lie below the kernel's ephemeral range (ip(7)), so that no outgoing connection takes one while its owner is
restarted. They are neighbours, and all but the program's are held as long as the agent lives: an agent that holds the
first has all of the block.

A port is held by a socket that is bound and never listens. Bound alone, and only then opened to others with
SO_REUSEPORT (socket(7)): Envoy, whose listeners have that option too, can bind it; another user's process, or one
without the option, can't. The resolver's sockets are not opened to others: it serves on duplicates of them. The program's
ports are held until it is started, and again until it is started again.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tulle.agent.config import Port
from tulle.agent.exits import AgentError
from tulle.agent.port_holder import holder_of
from tulle.model.addresses import LOOPBACK

_LOWEST, _HIGHEST = 10000, 65535
_BLOCK = 4  # outbound, inbound, program, dns
_MIN_RANGE = 1000
_TRIES = 500
_ELSEWHERE = "127.127.255.252"  # of the part of loopback that is tulle's own


@dataclass(frozen=True, slots=True)
class Ports:
    """program: what $PORT says, on which the program listens. dns: for whatever answers the program's questions.

    dns_sockets: bound to that port, UDP and TCP, IPv4 and, where there is that, IPv6.
    taken: those of the user's that somebody else has, each with a sentence that says so. nowhere: where nobody listens, as
    long as the program's ports are the user's.
    """

    outbound: int
    inbound: int
    program: int
    dns: int
    _programs: ExitStack
    _targets: tuple[int, ...] = ()
    dns_sockets: tuple[socket.socket, ...] = ()
    taken: Mapping[int, str] = field(default_factory=dict)

    @property
    def nowhere(self) -> int:
        return self.outbound + 2

    def hold_programs(self) -> None:
        """Takes the program's ports again, while nothing of it runs. Those that somebody has by now are left to them."""
        for target in self._targets:
            with suppress(OSError):
                self._programs.enter_context(_held(target))

    def release_programs(self) -> None:
        """Lets go of the program's ports. To be called right before the program is started."""
        self._programs.close()


@contextmanager
def reserve(ports: Sequence[Port], address: str = LOOPBACK, inbound: int | None = None) -> Iterator[Ports]:
    """Holds all ports of an agent within the block, but those that the user has named and that are taken.

    address: on which the inbound port is to be. inbound: that port, if the user has named it.
    Raises AgentError if one can't be used by anybody.
    """
    _check_own(address)
    targets = [port.target for port in ports if port.target is not None]
    chosen = len(targets) < len(ports)
    with ExitStack() as stack, ExitStack() as programs:
        taken: dict[int, str] = {}
        for target in dict.fromkeys(targets):
            if (held := _named(target)) is None:
                by = holder_of(target)
                taken[target] = f"port {target} is taken{f' by {by}' if by else ''}"
            else:
                programs.enter_context(held)
        if inbound is not None:
            for host in dict.fromkeys((address, LOOPBACK)):  # as _block does
                stack.enter_context(_named_inbound(host, inbound))
        first, dns_sockets = _block(stack, programs if chosen else stack, address)
        program = first + 2 if chosen else targets[0]
        names = tuple(dict.fromkeys((program, *targets)))
        yield Ports(first, inbound or first + 1, program, first + 3, programs, names, dns_sockets, taken)


def ephemeral_range() -> range:
    """The ports that the kernel gives to who does not name one."""
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    return range(low, high + 1)


def _block(stack: ExitStack, programs: ExitStack, address: str) -> tuple[int, tuple[socket.socket, ...]]:
    """Holds a free block of ports; its first, and the resolver's sockets."""
    candidates = _range()
    for _ in range(_TRIES):
        first = candidates[int.from_bytes(os.urandom(4), "big") % len(candidates)]
        with suppress(OSError), ExitStack() as held:
            for host, port in ((LOOPBACK, first), (address, first + 1)):
                held.enter_context(_bound(host, port)).setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if address != LOOPBACK:  # what is led to the inbound port here must not come to somebody else
                held.enter_context(_bound(LOOPBACK, first + 1))
            dns_sockets = tuple(held.enter_context(each) for each in _for_dns(first + 3))
            # Any address, for the program may want any. This socket never listens.
            programs.enter_context(_bound("0.0.0.0", first + 2))  # noqa: S104
            stack.push(held.pop_all())
            return first, dns_sockets
    raise AgentError(f"no free ports between {candidates[0]} and {candidates[-1]}")


def _check_own(address: str) -> None:
    """Raises AgentError if the address is none of this machine's."""
    try:
        _bound(address, 0).close()
    except OSError as error:
        raise AgentError(
            f"other sidecars can't reach this one at {address}: {error.strerror}; give an address of this machine with "
            "--address"
        ) from error


def _range() -> range:
    """First ports of blocks: outside the ephemeral range where there is room, anywhere else."""
    ephemeral = ephemeral_range()
    for start, end in ((_LOWEST, ephemeral.start - _BLOCK), (ephemeral.stop, _HIGHEST - _BLOCK)):
        if end - start >= _MIN_RANGE:
            return range(-(-start // _BLOCK) * _BLOCK, end, _BLOCK)
    return range(_LOWEST, _HIGHEST - _BLOCK, _BLOCK)


def _for_dns(port: int) -> Iterator[socket.socket]:
    for address in (LOOPBACK, "::1"):
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            try:
                yield _bound(address, port, kind)
            except OSError as error:
                if address == LOOPBACK or error.errno == errno.EADDRINUSE:
                    raise  # else the machine has no IPv6


def _named(port: int) -> socket.socket | None:
    """Holds a port that the user has named; None if it is taken."""
    try:
        return _held(port)
    except PermissionError:
        raise AgentError(
            f"port {port} may not be used by an ordinary user; name one above 1023: --port 80:8080"
        ) from None
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise AgentError(f"port {port} can't be used: {error.strerror}") from error
        return None


def _named_inbound(address: str, port: int) -> socket.socket:
    """Holds the sidecar's port, open to Envoy. Raises AgentError if it can't be had."""
    try:
        held = _held(port, address)
    except PermissionError:
        raise AgentError(f"--inbound-port {port} may not be used by an ordinary user; name one above 1023") from None
    except OSError as error:
        by = holder_of(port) if error.errno == errno.EADDRINUSE else None
        why = (
            f"is taken{f' by {by}' if by else ''}"
            if error.errno == errno.EADDRINUSE
            else f"can't be used: {error.strerror}"
        )
        raise AgentError(f"--inbound-port {port} {why}; name another, or let tulle choose one") from error
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return held


def _held(port: int, address: str = LOOPBACK) -> socket.socket:
    """Holds a port as most servers get it: connections of an earlier run that still linger don't matter.

    SO_REUSEADDR lets that be, but also lets any other who has set it bind the same (socket(7)). So it is taken back, and
    as the kernel only looks at that once one without it has bound the port somewhere, this is done as well, elsewhere.
    """
    with _bound(_ELSEWHERE, port):
        held = _bound(address, port, reuse_address=True)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    return held


def _bound(address: str, port: int, kind: int = socket.SOCK_STREAM, *, reuse_address: bool = False) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    try:
        if reuse_address:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address, port))
    except OSError:
        bound.close()
        raise
    return bound
