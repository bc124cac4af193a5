"""The whole mesh: changes go in, and when each was with the last sidecar that holds it comes out."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Container, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.simulated import mesh
from bench.simulated.child import Child, child
from bench.simulated.sidecar import Receipt

_CLIENTS = 2  # processes
_LONGEST = 300.0

Change = tuple[str, int, int, str]  # its load assignment; when it was due and durable, in ns; and the version


@dataclass(frozen=True)
class Round:
    """What came of some changes.

    delays: of each, until the last holder had it or what came after it, in ms. writes: the same until it was durable.
    receipts: how many resources came to sidecars; strays: those to sidecars that do not hold the service.
    cpu: of the control plane, in ms.
    """

    delays: Sequence[float]
    writes: Sequence[float]
    receipts: int
    strays: int
    cpu: float


class Simulation:
    """A control plane that is ready, and all sidecars, each of which holds HELD services.

    shared: one that nobody holds. data: the control plane's folder.
    """

    def __init__(self, services: int, control_plane: Child, clients: Sequence[Child], data: Path) -> None:
        self.data = data
        self.services = self.shared = services
        self.control_plane = control_plane
        self._clients = clients
        self._holders: dict[str, tuple[int, ...]] = {}

    async def connect(self) -> None:
        await self._of_clients("connect")
        for service in range(self.services):
            self._holders[mesh.cluster(service)] = mesh.holders(service, self.services)
        await self._settle()

    async def call_shared(self) -> None:
        """All sidecars call one more service."""
        await self._of_clients("call", service=self.shared)
        self._holders[mesh.cluster(self.shared)] = tuple(range(self.services))
        await self._settle()

    async def change(self, targets: Sequence[tuple[int, int]], per_second: float) -> Round:
        """Instances, (service, instance), are turned one after the other, and every sidecar is waited for."""
        await self.received()
        answer = await self.control_plane.ask("change", _LONGEST, targets=targets, per_second=per_second)
        await self._settle()
        names = [mesh.cluster(service) for service, _ in targets]
        changes = [(name, *what) for name, what in zip(names, answer["changes"], strict=True)]
        return _round(changes, await self.received(), self._holders, answer["cpu"] * 1000)

    async def _settle(self) -> None:
        callees = sum(map(len, self._holders.values()))
        await self.control_plane.ask("settled", _LONGEST, callees=callees)

    async def received(self) -> list[Receipt]:
        """What came to sidecars since this was last asked."""
        return [receipt for part in await self._of_clients("receipts") for receipt in part]

    async def _of_clients(self, command: str, **arguments: Any) -> list[Any]:
        return await asyncio.gather(*(client.ask(command, _LONGEST, **arguments) for client in self._clients))


@asynccontextmanager
async def simulation(services: int) -> AsyncIterator[Simulation]:
    """Its processes and its folder are there within the block. The sidecars are yet to connect."""
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(TemporaryDirectory(prefix="tulle-bench-"))) / "state"
        arguments = str(data), str(services + 1)
        control_plane = await stack.enter_async_context(child("bench.simulated.control_plane", *arguments))
        await control_plane.ask("settled", _LONGEST, callees=0)
        clients = []
        share = math.ceil(services / _CLIENTS)
        for first in range(0, services, share):
            indices = str(first), str(min(first + share, services))
            started = child("bench.simulated.sidecars", str(data), *indices, str(services))
            clients.append(await stack.enter_async_context(started))
        yield Simulation(services, control_plane, clients, Path(data))


def _round(
    changes: Sequence[Change], receipts: Iterable[Receipt], holders: dict[str, tuple[int, ...]], cpu: float
) -> Round:
    came: dict[tuple[int, str], list[tuple[int, str]]] = defaultdict(list)
    for at, sidecar, name, version in receipts:
        came[sidecar, name].append((at, version))
    delays = []
    newer: dict[str, set[str]] = defaultdict(set)  # the version of a change, or of one after it
    for name, due, _, version in reversed(changes):
        newer[name].add(version)
        last = max(_first(came[sidecar, name], due, newer[name]) for sidecar in holders[name])
        delays.append((last - due) / 1e6)
    strays = sum(len(there) for (sidecar, name), there in came.items() if sidecar not in holders.get(name, ()))
    writes = [(durable - due) / 1e6 for _, due, durable, _ in changes]
    return Round(delays[::-1], writes, sum(map(len, came.values())), strays, cpu)


def _first(arrivals: Iterable[tuple[int, str]], since: int, versions: Container[str]) -> int:
    """When one of the versions came first. Raises LookupError if none did: a change was lost."""
    for at, version in arrivals:
        if at >= since and version in versions:
            return at
    raise LookupError("a change did not reach a sidecar that holds the service")
