"""How fast a change reaches the sidecars that hold it, and what it costs: a thousand of them, simulated (a few minutes).

The services' instances are registered before the control plane starts, as after a restart. Changes are made by the
registry, at the times at which they are due, whatever happens; an instance goes from healthy to draining or back. A
change has arrived when its bytes are with the last sidecar that holds the service, as that sidecar's process sees it.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.figure import Figure
from bench.simulated import mesh
from bench.simulated.simulation import Round, Simulation, simulation


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


def run(quick: bool) -> list[Figure]:
    return asyncio.run(_run(QUICK if quick else FULL))


async def _run(size: Size) -> list[Figure]:
    async with simulation(size.services) as simulated:
        alone = simulated.control_plane.memory()
        await simulated.connect()
        spread = await _spread(simulated, size)
        memory = _memory(simulated, alone)
        await simulated.call_shared()
        return [*spread, memory, *await _shared(simulated, size), *await _burst(simulated, size)]


async def _spread(simulated: Simulation, size: Size) -> list[Figure]:
    """Each change is one of another service."""
    order = random.Random(1).sample(range(size.services), size.changes)
    rounds = []
    for number in range(size.rounds):
        targets = [(service, number + 1) for service in order]
        rounds.append(await simulated.change(targets, size.per_second))
    writes = [_percentile(one.writes, 99) for one in rounds]
    what = f"endpoint change to the last of its {mesh.HELD} holders"
    of = f"{size.services:,} services × {mesh.INSTANCES} endpoints, {size.services:,} sidecars × {mesh.HELD} services"
    sends = median(one.receipts for one in rounds) / size.changes
    return [
        _delay("fanout_p50", f"{what}, p50", 50, rounds, None, f"{of}, {size.per_second:g} changes/s"),
        _delay("fanout_p99", f"{what}, p99", 99, rounds, 50, f"the durable write alone: {median(writes):.1f} ms"),
        Figure(
            name="fanout_cpu",
            what="CPU of the control plane per change",
            value=round(median(one.cpu for one in rounds) / size.changes, 2),
            unit="ms",
            note=f"{sends:g} sends, as many acknowledgements, one durable write",
        ),
        Figure(
            name="fanout_strays",
            what="sends to sidecars that do not hold the service",
            value=sum(one.strays for one in rounds),
            unit="",
            reach=1,
            note=f"in {size.changes * size.rounds:,} changes",
        ),
    ]


def _memory(simulated: Simulation, alone: float) -> Figure:
    most = simulated.control_plane.memory("VmHWM")
    return Figure(
        name="fanout_rss",
        what="control plane RSS",
        value=round(simulated.control_plane.memory(), 1),
        unit="MB",
        reach=350,
        note=f"{alone:.0f} MB before the sidecars connect, never more than {most:.0f} MB",
    )


async def _shared(simulated: Simulation, size: Size) -> list[Figure]:
    """Each change is one that all sidecars hold."""
    targets = _turns(simulated.shared, size.slow_changes)
    rounds = [await simulated.change(targets, per_second=1) for _ in range(size.rounds)]
    cpu = median(one.cpu for one in rounds) / size.slow_changes
    what = f"one service held by all {size.services:,}, 1 change/s: until the last has it"
    return [
        _delay("shared_p50", f"{what}, p50", 50, rounds, None, f"{cpu:.0f} ms CPU of the control plane per change"),
        _delay("shared_p99", f"{what}, p99", 99, rounds, 300, ""),
    ]


async def _burst(simulated: Simulation, size: Size) -> list[Figure]:
    """The same, faster than anyone can follow."""
    control_plane = simulated.control_plane
    before = control_plane.memory()
    control_plane.forget_peak()
    targets = _turns(simulated.shared, size.burst)
    rounds = [await simulated.change(targets, size.per_second) for _ in range(size.rounds)]
    last = [one.delays[-1] / 1000 for one in rounds]
    sends = median(one.receipts for one in rounds) / size.services
    return [
        Figure(
            name="burst_current",
            what=f"the same, {size.burst} changes at {size.per_second:g}/s: all are current after the last",
            value=round(median(last), 3),
            unit="s",
            reach=1,
            note=_noted(f"{sends:.0f} sends per sidecar", last, 2),
        ),
        Figure(
            name="burst_memory",
            what="control plane RSS, most that it grows meanwhile",
            value=round(control_plane.memory("VmHWM") - before, 1),
            unit="MB",
            note=f"from {before:.0f} MB, over {size.rounds} rounds",
        ),
    ]


def _turns(service: int, number: int) -> list[tuple[int, int]]:
    """Changes of one service, whose last leaves a state that none before it did."""
    return [(service, 1 + turn % (mesh.INSTANCES - 1)) for turn in range(number - 1)] + [(service, 0)]


def _delay(name: str, what: str, percent: float, rounds: Iterable[Round], reach: float | None, note: str) -> Figure:
    values = [_percentile(one.delays, percent) for one in rounds]
    return Figure(name, what, round(median(values), 1), "ms", reach, _noted(note, values, 0))


def _noted(note: str, values: Sequence[float], digits: int) -> str:
    each = f"rounds: {', '.join(f'{value:.{digits}f}' for value in values)}" if len(values) > 1 else ""
    return "; ".join(filter(None, (note, each)))


def _percentile(values: Iterable[float], percent: float) -> float:
    """The nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
