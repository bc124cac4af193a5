"""What the control plane said of names, remembered: a program asks for the same few names again and again.

A VIP is durable. So one that is known is given at once, and for as long as the control plane is away; asked again is
beside that. That a name is not of the mesh is remembered for a moment only: the service may be starting right now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

FRESH_SECONDS = 5  # for which a VIP is not asked again, here and by the program's own caches
ABSENT_SECONDS = 1

_ANSWER_SECONDS = 3.0  # below the 5 s after which a libc asks again (resolv.conf(5), timeout)
_MOST_KNOWN = 4096
_MOST_ABSENT = 1024
_MOST_ASKED = 512  # at once


class Names(Protocol):
    """Who knows the names of the mesh."""

    async def address_of(self, name: str) -> str | None:
        """The VIP of a service's full host; None if there is no such service.

        Raises OSError when that can't be found out now.
        """


Spawn = Callable[[Coroutine[Any, Any, Any], str], "asyncio.Task[Any]"]


@dataclass(frozen=True, slots=True)
class Said:
    """What the control plane said, and when. address: None if the name is not of the mesh."""

    address: str | None
    time: float


class MeshNames:
    """The answers of `names` that are remembered. Bounded, whatever is asked."""

    def __init__(self, names: Names, spawn: Spawn, clock: Callable[[], float]) -> None:
        self._names = names
        self._spawn = spawn
        self._clock = clock
        self._known: dict[str, Said] = {}  # the one that has not been asked for the longest comes first
        self._absent: dict[str, Said] = {}  # the oldest comes first
        self._hosts: dict[str, str] = {}  # by VIP
        self._asked: dict[str, asyncio.Task[Said | None]] = {}

    def remembered(self, host: str) -> Said | None:
        """What is known without asking."""
        said = self._known.pop(host, None)
        if said:
            self._known[host] = said
            if self._clock() - said.time > FRESH_SECONDS:
                self._ask(host)
            return said
        said = self._absent.get(host)
        return said if said and self._clock() - said.time <= ABSENT_SECONDS else None

    async def find(self, host: str) -> Said | None:
        """What the control plane says; None if it can't be asked now. Those who ask at the same time share an answer."""
        task = self._ask(host)
        return await asyncio.shield(task) if task else None

    def host_of(self, address: str) -> str | None:
        """The service whose VIP was given out; None if none was."""
        return self._hosts.get(address)

    def _ask(self, host: str) -> asyncio.Task[Said | None] | None:
        task = self._asked.get(host)
        if task is None and len(self._asked) < _MOST_ASKED:
            task = self._asked[host] = self._spawn(self._said(host), "dns: name of the mesh")
        return task

    async def _said(self, host: str) -> Said | None:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                said = Said(await self._names.address_of(host), self._clock())
        except OSError:  # also TimeoutError. What is known stays; the session tells what is the matter.
            return None
        finally:
            del self._asked[host]
        self._remember(host, said)
        return said

    def _remember(self, host: str, said: Said) -> None:
        self._forget(host)
        if said.address is None:
            self._absent[host] = said
            if len(self._absent) > _MOST_ABSENT:
                del self._absent[next(iter(self._absent))]
        else:
            self._known[host] = said
            self._hosts[said.address] = host
            if len(self._known) > _MOST_KNOWN:
                self._forget(next(iter(self._known)))

    def _forget(self, host: str) -> None:
        self._absent.pop(host, None)
        said = self._known.pop(host, None)
        if said and said.address and self._hosts.get(said.address) == host:
            del self._hosts[said.address]
