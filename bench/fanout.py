"""How fast a change reaches the sidecars that hold it, and what it costs: a thousand of them, simulated (a few minutes).

The services' instances are registered before the control plane starts, as after a restart. Changes are made by the
registry, at the times at which they are due, whatever happens; an instance goes from healthy to draining or back. A
change has arrived when the bytes are with the last sidecar that holds the service, as its process sees it.
"""

from __future__ import annotations

import asyncio
import math
import random
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figure import Figure
from bench.simulated import mesh
from bench.simulated.child import Child, child
from bench.simulated.sidecar import Receipt

_CLIENTS = 2
_LONGEST = 300.0


@dataclass(frozen=True)
class Size:
    """services: as many sidecars too. rounds: how often each thing is measured; the figures are medians."""

    services: int
    rounds: int
    per_second: float
    changes: int
    slow_changes: int
    burst: int


FULL = Size(services=1000, rounds=3, per_second=50, changes=1000, slow_changes=20, burst=250)
QUICK = Size(services=100, rounds=1, per_second=50, changes=100, slow_changes=3, burst=50)


@dataclass(frozen=True)
class Round:
    """What came of some changes.

    delays: of each, until the last holder had it or what came after it, in ms. receipts: how many there were; strays:
    those at sidecars that do not hold the service. cpu: of the control plane, in ms.
    """

    delays: Sequence[float]
    receipts: int
    strays: int
    cpu: float

    def percentile(self, percent: float) -> float:
        """The nearest rank."""
        ordered = sorted(self.delays)
        return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def run(quick: bool) -> list[Figure]:
    return asyncio.run(_run(QUICK if quick else FULL))


async def _run(size: Size) -> list[Figure]:
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tulle-bench-"))) / "state"
        arguments = str(data), str(size.services + 1)
        control_plane = await stack.enter_async_context(child("bench.simulated.control_plane", *arguments))
        await control_plane.ask("settled", _LONGEST, callees=0)
        empty = control_plane.memory()
        clients = []
        share = size.services // _CLIENTS
        for first in range(0, size.services, share):
            arguments = str(data), str(first), str(first + share), str(size.services)
            clients.append(await stack.enter_async_context(child("bench.simulated.sidecars", *arguments)))
        simulation = Simulation(size, control_plane, clients)
        await simulation.connect()
        return [*await _spread(simulation, empty), *await _shared(simulation), *await _burst(simulation)]


class Simulation:
    """A control plane with all its sidecars, each of which holds HELD services."""

    def __init__(self, size: Size, control_plane: Child, clients: Sequence[Child]) -> None:
        self.size = size
        self.control_plane = control_plane
        self._clients = clients
        self._holders: dict[str, tuple[int, ...]] = {}

    async def connect(self) -> None:
        await self._of_clients("connect")
        for service in range(self.size.services):
            self._holders[mesh.cluster(service)] = mesh.holders(service, self.size.services)
        await self._settle()

    async def call_shared(self) -> None:
        """All sidecars call one more service."""
        await self._of_clients("call", service=self.shared)
        self._holders[mesh.cluster(self.shared)] = tuple(range(self.size.services))
        await self._settle()

    @property
    def shared(self) -> int:
        return self.size.services

    async def change(self, targets: Sequence[tuple[int, int]], per_second: float) -> Round:
        """Instances, (service, instance), are turned one after the other, and every sidecar is waited for."""
        await self._receipts()
        answer = await self.control_plane.ask("change", _LONGEST, targets=targets, per_second=per_second)
        await self._settle()
        names = [mesh.cluster(service) for service, _ in targets]
        return self._round(list(zip(names, answer["changes"], strict=True)), await self._receipts(), answer["cpu"])

    def _round(self, changes: Sequence[tuple[str, tuple[int, str]]], receipts: Iterable[Receipt], cpu: float) -> Round:
        came: dict[tuple[int, str], list[tuple[int, str]]] = defaultdict(list)
        for at, sidecar, name, version in receipts:
            came[sidecar, name].append((at, version))
        delays = []
        newer: dict[str, set[str]] = defaultdict(set)  # the version of a change, or of one after it
        for name, (due, version) in reversed(changes):
            newer[name].add(version)
            arrivals = (_first(came[sidecar, name], due, newer[name]) for sidecar in self._holders[name])
            delays.append((max(arrivals) - due) / 1e6)
        strays = sum(len(all) for (sidecar, name), all in came.items() if sidecar not in self._holders.get(name, ()))
        return Round(delays[::-1], sum(map(len, came.values())), strays, cpu * 1000)

    async def _settle(self) -> None:
        callees = sum(map(len, self._holders.values()))
        await self.control_plane.ask("settled", _LONGEST, callees=callees)

    async def _receipts(self) -> list[Receipt]:
        return [receipt for part in await self._of_clients("receipts") for receipt in part]

    async def _of_clients(self, command: str, **arguments: Any) -> list[Any]:
        return await asyncio.gather(*(client.ask(command, _LONGEST, **arguments) for client in self._clients))


async def _spread(simulation: Simulation, empty: float) -> list[Figure]:
    """Each change is one of another service."""
    size = simulation.size
    order = random.Random(1).sample(range(size.services), size.changes)
    rounds = [
        await simulation.change([(service, number + 1) for service in order], size.per_second)
        for number in range(size.rounds)
    ]
    held = f"{size.services:,} services × {mesh.INSTANCES} endpoints, {size.services:,} sidecars × {mesh.HELD} services"
    pace = f"{size.per_second:g} changes/s"
    cpu = statistics.median(one.cpu / size.changes for one in rounds)
    receipts = statistics.median(one.receipts / size.changes for one in rounds)
    return [
        _median(
            "fanout_p50", f"endpoint change → last of its {mesh.HELD} holders, p50", 50, rounds, None, f"{held}, {pace}"
        ),
        _median("fanout_p99", "the same, p99", 99, rounds, 50, ""),
        Figure(
            "fanout_cpu",
            "CPU of the control plane per change",
            round(cpu, 2),
            "ms",
            None,
            f"{receipts:g} sends, as many acknowledgements, one durable write",
        ),
        Figure(
            "fanout_strays",
            "sends to sidecars that do not hold the service",
            sum(r.strays for r in rounds),
            "",
            1,
            f"in {size.changes * size.rounds:,} changes",
        ),
        Figure(
            "fanout_rss",
            "control plane RSS",
            round(simulation.control_plane.memory(), 1),
            "MB",
            350,
            f"{empty:.0f} before the sidecars connect; at most {simulation.control_plane.memory('VmHWM'):.0f}",
        ),
    ]


async def _shared(simulation: Simulation) -> list[Figure]:
    """Each change is one that all sidecars hold."""
    await simulation.call_shared()
    rounds = [
        await simulation.change(_turns(simulation.shared, simulation.size.slow_changes), 1)
        for _ in range(simulation.size.rounds)
    ]
    cpu = statistics.median(one.cpu / simulation.size.slow_changes for one in rounds)
    what = f"one service held by all {simulation.size.services:,}, 1 change/s: the last has it, p99"
    return [
        _median(
            "shared_p50",
            what.replace("p99", "p50"),
            50,
            rounds,
            None,
            f"{cpu:.0f} ms CPU of the control plane per change",
        ),
        _median("shared_p99", what, 99, rounds, 300, ""),
    ]


async def _burst(simulation: Simulation) -> list[Figure]:
    """The same faster than anyone can follow."""
    size, control_plane = simulation.size, simulation.control_plane
    before = control_plane.memory()
    control_plane.forget_peak()
    rounds = [
        await simulation.change(_turns(simulation.shared, size.burst), size.per_second) for _ in range(size.rounds)
    ]
    peak = control_plane.memory("VmHWM")
    last = statistics.median(one.delays[-1] for one in rounds) / 1000
    sent = statistics.median(one.receipts / size.services for one in rounds)
    pace = f"{size.burst} changes at {size.per_second:g}/s"
    return [
        Figure(
            "burst_current",
            f"the same, {pace}: all are current after the last",
            round(last, 3),
            "s",
            1,
            f"{sent:.0f} sends per sidecar",
        ),
        Figure(
            "burst_memory",
            "control plane RSS, grown at most meanwhile",
            round(peak - before, 1),
            "MB",
            None,
            f"{control_plane.memory() - before:+.1f} MB afterwards",
        ),
    ]


def _turns(service: int, number: int) -> list[tuple[int, int]]:
    """Changes whose last leaves a state that none before it did."""
    return [(service, 1 + turn % (mesh.INSTANCES - 1)) for turn in range(number - 1)] + [(service, 0)]


def _first(arrivals: Sequence[tuple[int, str]], since: int, versions: Container[str]) -> int:
    """When one of the versions came first. Raises LookupError if none did: a change was lost."""
    for at, version in arrivals:
        if at >= since and version in versions:
            return at
    raise LookupError("a change did not reach a sidecar that holds the service")


def _median(name: str, what: str, percent: int, rounds: Sequence[Round], reach: float | None, note: str) -> Figure:
    values = [one.percentile(percent) for one in rounds]
    each = f"rounds: {', '.join(f'{value:.1f}' for value in values)}" if len(values) > 1 else ""
    return Figure(name, what, round(statistics.median(values), 1), "ms", reach, "; ".join(filter(None, (note, each))))
