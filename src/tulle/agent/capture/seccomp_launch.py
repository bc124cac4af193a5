"""The reaper's side of seccomp mode: puts the program under a filter and serves the calls that it names.

All in the reaper's one thread: it forks, and a lock that another thread held would be held for ever in the child. Each
life of the program has a filter and a listener of its own, and what an earlier one left behind may still be there; all
are in one epoll set, with the connects that are under way and their timer, so the reaper waits for one descriptor more.

The listener is only here. When the reaper dies the kernel kills the program with it (PDEATHSIG), the agent ends what
is below; until then their connects fail with ENOSYS, since nobody can answer. None goes past the mesh.

Without CAP_SYS_ADMIN a filter wants no_new_privs, and it is set for everybody alike: sudo, ping and other programs with
set-user-id or file capabilities run without these below the program.
"""

from __future__ import annotations

import _socket
import errno
import os
import resource
import select

from tulle.agent.capture import launch as base
from tulle.agent.capture.linux import receive_descriptor, send_descriptor
from tulle.agent.capture.notify import Listener, Machine, build_filter, install_filter, machine, signals_wait
from tulle.agent.capture.seccomp_bind import Binds
from tulle.agent.capture.seccomp_calls import Calls
from tulle.agent.capture.seccomp_connect import Connector

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

_FASTOPEN = (3, 0x20000000)  # sendto's flags, MSG_FASTOPEN
_ROUNDS = 64  # then the reaper looks after its other descriptors


def launch(plan: dict[str, Any], tell: Callable[[str], None]) -> base.Launch:
    """Raises OSError where the numbers of the machine type are not known; `prepared` has seen to that."""
    known = machine()
    if known is None:
        raise OSError(errno.ENOSYS, "no numbers of system calls for this machine type")
    return _Seccomp(plan, known, tell)


def supervised(machine: Machine) -> bytes:
    """The filter; what it leaves out and why is told in seccomp_calls.py."""
    return build_filter(
        machine, ("connect", "bind"), {"sendto": _FASTOPEN}, {"io_uring_setup": errno.ENOSYS}, notify_compat=True
    )


class _Seccomp(base.Launch):
    def __init__(self, plan: dict[str, Any], machine: Machine, tell: Callable[[str], None]) -> None:
        self._machine = machine
        self._filter = supervised(machine)
        self._limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (self._limit[1], self._limit[1]))
        self._epoll = select.epoll()
        may_repeat = not signals_wait(machine)
        self._connector = Connector(self._epoll, _source(plan["source"]), may_repeat=may_repeat)
        self._calls = Calls(plan, machine, self._connector, Binds(tell, may_repeat=may_repeat), tell)
        self._listeners: dict[int, Listener] = {}
        self._here, self._childs = _pair()

    def in_child(self) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, self._limit)
        listener = install_filter(self._machine, self._filter)
        send_descriptor(self._childs, listener)
        os.close(listener)
        self._childs.close()  # the canary's child does not exec

    def after_fork(self, child: int) -> None:
        self._childs.close()
        try:
            listener = Listener(receive_descriptor(self._here))
        except EOFError:  # the child has failed before, and tells why itself
            return
        finally:
            self._here.close()
            self._here, self._childs = _pair()
        self._listeners[listener.fileno()] = listener
        self._epoll.register(listener.fileno(), select.EPOLLIN)

    def descriptors(self) -> Mapping[int, Callable[[], None]]:
        return {self._epoll.fileno(): self._serve}

    def close(self) -> None:
        self._connector.close()
        for listener in self._listeners.values():
            listener.close()
        self._epoll.close()

    def _serve(self) -> None:
        for _ in range(_ROUNDS):
            events = self._epoll.poll(0)
            if not events:
                break
            for descriptor, event in events:
                if listener := self._listeners.get(descriptor):
                    self._hear(listener, event)
                elif descriptor == self._connector.timer:
                    self._connector.ring()
                else:
                    self._connector.ready(descriptor)
        if self._calls.any_held:
            self._calls.take_held()

    def _hear(self, listener: Listener, event: int) -> None:
        if event & select.EPOLLIN:
            if call := listener.receive():
                self._calls.take(listener, call)
        else:  # nobody is left under this filter
            self._epoll.unregister(listener.fileno())
            del self._listeners[listener.fileno()]
            self._connector.drop(listener)
            self._calls.drop(listener)
            listener.close()


def _pair() -> tuple[_socket.socket, _socket.socket]:
    """Made anew for each child: when it has died, its end is closed."""
    return _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)


def _source(text: str) -> tuple[bytes, int]:
    """`address:port`."""
    address, _, port = text.rpartition(":")
    return bytes(map(int, address.split("."))), int(port)
