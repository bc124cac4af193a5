"""Which modes of capture there are, and in which order they are tried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module

from tulle.agent.capture.launch import HOOKED, UNTOUCHED
from tulle.agent.capture.mode import Prepared, Settings

AUTO = "auto"
MODES = (*HOOKED, *UNTOUCHED)
# The best first. A namespace of its own changes what a program finds, so that one has to be asked for.
_LADDER = ("redirect", "seccomp", "proxy")

# They lead what the program binds to another port if its own is somebody else's.
_MOVE_BINDS = ("seccomp", "netns")

_HOW = {
    "redirect": "the kernel redirects its connections to services (cgroup and nftables)",
    "seccomp": "its connections to services are handed over (seccomp)",
    "netns": "its only way out of its own network namespace is the sidecar",
    "proxy": "only clients that heed the proxy variables reach the mesh",
}


def candidates(wanted: str) -> tuple[str, ...]:
    """The modes to try in turn."""
    return _LADDER if wanted == AUTO else (wanted,)


def moves_binds(mode: str) -> bool:
    """Whether a program may have a port that is taken."""
    return mode in _MOVE_BINDS


def moves_every_bind(mode: str) -> bool:
    """Whether the program's port on this machine is never the one that it asks for, but by chance."""
    return mode == "netns"


def prepared(mode: str, settings: Settings) -> AbstractContextManager[Prepared]:
    """Makes a mode ready within the block. Raises Unavailable."""
    if mode in UNTOUCHED:
        return _untouched(mode, settings)
    module = import_module(f"tulle.agent.capture.{mode}")
    context: AbstractContextManager[Prepared] = module.prepared(settings)
    return context


def told(mode: str) -> str:
    """What the user is told of the mode that is used."""
    how = _HOW.get(mode)
    return f"calls of the program are captured by {mode}: {how}" if how else "calls of the program are not captured"


@contextmanager
def _untouched(mode: str, settings: Settings) -> Iterator[Prepared]:
    yield Prepared({"mode": mode, "proxy": settings.proxy, "outbound": settings.outbound})
