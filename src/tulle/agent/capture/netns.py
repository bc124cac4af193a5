"""The mode netns: the program in a network namespace of its own, whose only way out is the sidecar.

Inside, every address belongs to the namespace, and netfilter sends questions for names to the agent's DNS server and
every connection, but those to the namespace's own localhost (127.0.0.0/16, ::1), to the sidecar's outbound door. Envoy stays
outside, as an ordinary process, with a listening socket from inside (netns_envoy.py); what the program listens on is
moved outside (netns_launch.py), which also lets two programs bind the same port. UDP other than DNS has no way out.

No process holds the namespace: it lives by the descriptors that the agent and the reaper have of it, and by the
program. Nothing of it is on the host: no link, rule, mount or name.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tulle.agent.capture.mode import Prepared, Settings, Unavailable
from tulle.agent.capture.netns_envoy import doors_given
from tulle.agent.capture.netns_self_calls import passing_on

_MAKER = str(Path(__file__).with_name("netns_maker.py"))
_MAKER_SECONDS = 30.0
_MOST_DESCRIPTORS = 16


@contextmanager
def prepared(settings: Settings) -> Iterator[Prepared]:
    """To be used in the agent's event loop. Raises Unavailable."""
    with ExitStack() as stack:
        words, descriptors = _made(settings)
        held = iter(descriptors)
        network = _holding(stack, next(held))
        user = _holding(stack, next(held)) if words["rootless"] else None
        _holding(stack, next(held))  # the rules
        sockets = [stack.enter_context(socket.socket(fileno=descriptor)) for descriptor in held]
        *sockets, spans = sockets
        doors, servers = sockets[: words["doors"]], sockets[words["doors"] :]
        yield Prepared(
            plan={
                "mode": "netns",
                "proxy": settings.proxy,
                # The reaper opens them by these names; a descriptor's number would have to be handed down.
                "network": f"/proc/{os.getpid()}/fd/{network}",
                "user": None if user is None else f"/proc/{os.getpid()}/fd/{user}",
                "cookie": words["cookie"],
                "self_calls": stack.enter_context(passing_on(settings.folder)),
            },
            dns_sockets=tuple(servers),
            envoy_launch=stack.enter_context(doors_given(doors, settings.outbound)),
            spans=spans,
            ipv6=any(door.family == socket.AF_INET6 for door in doors),
        )


def _made(settings: Settings) -> tuple[dict[str, Any], list[int]]:
    """What the maker says, and the descriptors that it hands over."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        arguments = (str(theirs.fileno()), str(settings.outbound), str(settings.dns))
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", _MAKER, *arguments],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=_MAKER_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(f"no network namespace was made within {_MAKER_SECONDS:g} s") from None
        theirs.close()
        said, descriptors, _, _ = socket.recv_fds(ours, 4096, _MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
    if not said:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise Unavailable(f"making a network namespace failed: {last or f'exit code {done.returncode}'}")
    words = json.loads(said)
    if "unavailable" in words:
        raise Unavailable(words["unavailable"])
    return words, descriptors


def _holding(stack: ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor
