"""What becomes of each supervised call.

| call | to | answer |
| --- | --- | --- |
| connect, sendto with MSG_FASTOPEN | a VIP, TCP | the program's own socket goes to Envoy, behind a PROXY header |
| connect | a VIP, not TCP | ECONNREFUSED |
| connect | port 53 of a resolver | the socket goes to the agent's DNS server |
| connect | a port that the program was moved from | the socket goes where its server really is |
| connect | the Unix sockets of nscd and systemd-resolved | ECONNREFUSED: glibc then asks by DNS, which we see |
| connect | another machine, from a socket whose bind was rewritten | seccomp_unbind.py, then the kernel does it |
| bind | TCP | seccomp_bind.py |
| io_uring_setup | | ENOSYS, by the filter: connects of a ring go past seccomp |
| anything else | | the kernel does it as if nobody had looked |

**Not supervised**, and why. sendmsg: gRPC writes TCP with it, and each would cost a notification; a filter can't see
the address that a message has. sendto without MSG_FASTOPEN, and sendmmsg, by which some ask their resolver (musl,
dnspython): who asks on an unconnected socket compares from where it is answered, and would drop our answers, so that
no name at all had an address; as it is, it learns what the resolver knows, which is no name of the mesh. Each
measurement that a program sends by UDP would cost a notification, too. glibc connects its socket, which is enough.
listen on a socket that was never bound: the kernel chooses address and port.

**Races.** The caller's memory is read once, and what was read is what is done; what the kernel is told to do as if
nobody had looked, it reads again. A program whose other thread changes the address in between can so get to a VIP by
itself, where nobody listens: it races against itself for a refused connection. Likewise a descriptor that is replaced
meanwhile: the socket that we have stays the one that we took. All this is a convenience for the program and never a
wall around it; what it may call is decided at the other side, by mutual TLS.

**Fail closed.** A process that can't be looked into (it has changed its user, or is not dumpable), one of 32 bits and one
in a network namespace of its own calls as if uncaptured: a VIP is loopback, so the call never leaves the machine, and is
refused unless something here listens at that port on every address.
"""

from __future__ import annotations

import errno
import os

from tulle.agent.capture import seccomp_socket as socket
from tulle.agent.capture.linux import duplicate_of, read_memory
from tulle.agent.capture.seccomp_address import (
    AF_INET6,
    LOOPBACK,
    LOOPBACK_6,
    is_loopback,
    is_vip,
    parsed,
    sockaddr,
    unix_path,
)
from tulle.agent.capture.seccomp_connect import Attempt
from tulle.agent.capture.seccomp_names import Nameservers
from tulle.agent.capture.seccomp_unbind import unbind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tulle.agent.capture.notify import Listener, Machine, Notification
    from tulle.agent.capture.seccomp_bind import Binds
    from tulle.agent.capture.seccomp_connect import Connector

_LONGEST_ADDRESS = 128  # struct sockaddr_storage
_LARGEST_PART = 65536
_DNS = 53
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)


class Calls:
    """Answers the calls of one program's tree. `tell` sends a line to the agent."""

    def __init__(
        self, plan: dict[str, Any], machine: Machine, connector: Connector, binds: Binds, tell: Callable[[str], None]
    ) -> None:
        self._outbound: int = plan["outbound"]
        self._dns: int = plan["dns"]
        self._refused = {path.encode() for path in plan["refused_sockets"]}
        self._nameservers = Nameservers(plan["resolv_conf"], plan["nameservers"], plan["answers_at"])
        self._machine = machine
        self._connector = connector
        self._binds = binds
        self._tell = tell
        self._noted: set[str] = set()
        self._held: list[tuple[Listener, Notification]] = []

    def take(self, listener: Listener, call: Notification) -> None:
        """Answers the call, now or later; none is lost."""
        try:
            done = call.architecture == self._machine.architecture and self._handle(listener, call)
        except OSError as error:
            if error.errno in _EXHAUSTED:
                self._held.append((listener, call))
                self._connector.keep_time(True)
                return
            if error.errno in (errno.EPERM, errno.EACCES):
                self._note("one of the program's processes can't be looked into, so it can't call the mesh")
            done = False  # EBADF, EFAULT: the kernel will say the same
        if call.architecture != self._machine.architecture:
            self._note("one of the program's processes is of 32 bits, so it can't call the mesh")
        if not done:
            listener.let_run(call.id)

    def take_held(self) -> None:
        """Has another look at the calls for which this process had no descriptor left."""
        held, self._held = self._held, []
        for position, (listener, call) in enumerate(held):
            if self._held:  # there is none yet
                self._held += held[position:]
                break
            if listener.still_waits(call.id):
                self.take(listener, call)
        self._connector.keep_time(bool(self._held))

    @property
    def any_held(self) -> bool:
        return bool(self._held)

    def drop(self, listener: Listener) -> None:
        """Nobody is left under this listener."""
        self._held = [held for held in self._held if held[0] is not listener]

    def _handle(self, listener: Listener, call: Notification) -> bool:
        """False if the kernel should do it."""
        numbers, arguments = self._machine.calls, call.arguments
        is_sendto = call.call == numbers["sendto"]
        where, size = arguments[4:6] if is_sendto else arguments[1:3]
        size &= 0xFFFFFFFF
        raw = read_memory(call.thread, where, size) if where and 0 < size <= _LONGEST_ADDRESS else b""
        if not (address := parsed(raw)):
            if unix_path(raw) in self._refused and listener.still_waits(call.id):
                listener.fail(call.id, errno.ECONNREFUSED)
                return True
            return False
        if call.call == numbers["bind"]:
            return self._bind(listener, call, raw)
        return self._connect(listener, call, *address)

    def _bind(self, listener: Listener, call: Notification, raw: bytes) -> bool:
        descriptor = duplicate_of(call.thread, call.arguments[0])
        try:
            if not socket.speaks_tcp(descriptor) or not listener.still_waits(call.id):
                return False
            error = self._binds.bind(descriptor, raw)
        finally:
            os.close(descriptor)
        if error is None:
            return False
        listener.fail(call.id, error) if error else listener.answer(call.id)
        return True

    def _connect(self, listener: Listener, call: Notification, family: int, address: bytes, port: int) -> bool:
        vip = is_vip(address)
        answering = self._nameservers.answering(address) if port == _DNS and not vip else None
        home = None if vip or answering else self._binds.home_of(address, port)
        if not (vip or answering or home):
            if not is_loopback(address):
                self._take_back_bind(listener, call)
            return False
        descriptor = duplicate_of(call.thread, call.arguments[0])
        try:
            data = self._data(call)
            is_tcp = socket.speaks_tcp(descriptor)
            if home and not is_tcp:
                return False
            if not listener.still_waits(call.id):
                return True
            if answering and len(answering) == 4 and family == AF_INET6 and socket.is_ipv6_only(descriptor):
                answering = LOOPBACK_6
            to = sockaddr(family, *(home or (answering or LOOPBACK, self._dns if answering else self._outbound)))
            if is_tcp:
                attempt = Attempt(listener, call.id, descriptor, to)
                attempt.header = (address, port) if vip else None
                attempt.patient = not home
                attempt.data = data
                descriptor = -1  # it is the attempt's
                self._connector.begin(attempt)
            elif error := errno.ECONNREFUSED if vip else socket.connect(descriptor, to):
                listener.fail(call.id, error)
            else:
                listener.answer(call.id)
            return True
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _data(self, call: Notification) -> bytes | None:
        """What a sendto with MSG_FASTOPEN is to send. A part of it will do, as the return value says."""
        if call.call != self._machine.calls["sendto"]:
            return None
        return read_memory(call.thread, call.arguments[1], min(call.arguments[2], _LARGEST_PART))

    def _take_back_bind(self, listener: Listener, call: Notification) -> None:
        """For a socket that was bound to loopback and is to call another machine."""
        if not self._binds.any_rewritten:
            return
        descriptor = duplicate_of(call.thread, call.arguments[0])
        try:
            original = self._binds.original(descriptor)
            if original and listener.still_waits(call.id):
                unbind(listener, call, descriptor, original)
        finally:
            os.close(descriptor)

    def _note(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self._tell(f"note {text}")
