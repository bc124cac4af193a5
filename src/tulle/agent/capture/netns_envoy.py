"""Gives Envoy, which stays outside, the outbound door in the program's network namespace.

Envoy binds its listeners itself; a seccomp filter on its bind() has the agent asked, which puts a socket that was made
inside in the place of the one that is for the outbound port. Every such bind gets the same one: several workers share
it, another epoch takes it over from its parent without a bind, and while a crashed Envoy is started again, the program's
calls wait in its queue rather than be refused. Only bind() is looked at, so no request costs more by it. An Envoy that
can't be given its door, as when the agent has no descriptors left, is ended, and so started again.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tulle.agent.capture import linux, notify
from tulle.agent.capture.netns_binds import Bind, serve


@contextmanager
def doors_given(doors: Sequence[socket.socket], port: int) -> Iterator[Callable[[], None]]:
    """Within the block an Envoy gets the doors that has called this in its new process, right before exec.

    doors: one for each family, for Envoy asks for a connection's destination by the family of the listener's address. One
    that Envoy has no listener for does not listen.
    """
    machine = notify.machine()
    assert machine, "netns_maker.py has proved it"
    program = notify.build_filter(machine, ("bind",))
    by_family: dict[int, socket.socket] = {door.family: door for door in doors}
    loop = asyncio.get_running_loop()
    listeners: set[notify.Listener] = set()

    def decide(bind: Bind) -> bool:
        if bind.port != port or bind.socket.family not in by_family:
            return False
        bind.put(by_family[bind.socket.family])
        return True

    def answer(listener: notify.Listener) -> None:
        # An Envoy without its door would not look for it again, and one that opens it on the host would be worse.
        if not serve(listener, decide, or_kill=True):
            forget(listener)

    def forget(listener: notify.Listener) -> None:
        listeners.discard(listener)
        loop.remove_reader(listener)
        listener.close()

    def take() -> None:
        listener = notify.Listener(linux.receive_descriptor(ours))
        listeners.add(listener)
        loop.add_reader(listener, answer, listener)

    def in_envoys_child() -> None:
        linux.send_descriptor(theirs, notify.install_filter(machine, program))

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        loop.add_reader(ours, take)
        try:
            yield in_envoys_child
        finally:
            loop.remove_reader(ours)
            for listener in list(listeners):
                forget(listener)
