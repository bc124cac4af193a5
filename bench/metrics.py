"""Istio's metrics: CPU of a pair of sidecars per request with all of them counted, beside the same pair without.

Rounds in changing order, as in bench/dataplane. The pair without is there twice: what its two rows differ by is noise. Each
sidecar is as tulle translates it, with its routes and endpoints in a file.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

from bench import envoys, guarded
from bench.figure import Figure
from bench.load import wrk
from bench.meshes import call
from bench.processes import cpu_seconds, free_port, wait_for

_CONNECTIONS = 16


@dataclass
class Case:
    """One pair. counts: the names of the loggers that it has, of translate/telemetry/metrics.py.

    cpu: of both Envoys per request, in microseconds, a value a round.
    """

    name: str
    what: str
    counts: tuple[str, ...] = ()
    reach: float | None = None
    port: int = 0
    pids: tuple[int, ...] = ()
    cpu: list[float] = field(default_factory=list)


def run(quick: bool) -> list[Figure]:
    rounds, seconds = (4, 1) if quick else (20, 1)
    cases = [
        Case("without", "without metrics"),
        Case("without_again", "without metrics, again"),
        Case("figures", "all but gRPC's messages", ("figures",)),
        Case("all", "all", ("figures", "messages"), reach=1.15),
    ]
    with tempfile.TemporaryDirectory(prefix="tulle-bench-") as folder, ExitStack() as stack:
        _start(Path(folder), stack, cases)
        for number in range(rounds):
            for case in random.Random(number).sample(cases, len(cases)):
                _measure(case, seconds)
            print(f"metrics: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    return list(_figures(cases, f"{rounds} interleaved rounds of {seconds} s"))


def _start(folder: Path, stack: ExitStack, cases: list[Case]) -> None:
    target = free_port()
    caller, server = (envoys.credentials(folder / "ca", account) for account in (guarded.CALLER, "service-b"))
    guarded.write_identity(folder, server)
    stack.enter_context(envoys.envoy(folder, "program", envoys.program(target)))
    for case in cases:
        inbound, case.port = free_port(), free_port()
        listener, programs = guarded.sidecar(inbound, target, counts=case.counts)
        serving = envoys.envoy(folder, f"{case.name}-b", listener, *programs, settings=guarded.settings())
        upstream = guarded.cluster_to(inbound, caller)
        door = guarded.calling_sidecar(case.port, counts=case.counts)
        calling = envoys.envoy(folder, f"{case.name}-a", door, upstream, settings=guarded.settings())
        case.pids = (stack.enter_context(serving), stack.enter_context(calling))
        wait_for(f"{case.name} is reached", partial(_reached, case.port))
        wrk(case.port, 1, _CONNECTIONS)


def _reached(port: int) -> bool:
    return call(port, "service-b") == 200


def _measure(case: Case, seconds: int) -> None:
    before = sum(map(cpu_seconds, case.pids))
    load = wrk(case.port, seconds, _CONNECTIONS)
    case.cpu.append((sum(map(cpu_seconds, case.pids)) - before) / load.requests * 1e6)


def _figures(cases: list[Case], note: str) -> Iterator[Figure]:
    one, again, *more = cases
    plain = [*one.cpu, *again.cpu]
    noise = f"{median(again.cpu) / median(one.cpu):.2f}× between two without"
    for case in more:
        yield Figure(
            f"cpu_ratio_{case.name}",
            f"CPU per request of two sidecars with Istio's metrics over the same two without: {case.what}",
            median(case.cpu) / median(plain),
            "×",
            reach=case.reach,
            note=f"{noise}; {note}, {_CONNECTIONS} connections, medians; load average {os.getloadavg()[0]:.1f}",
        )
    for case in cases:
        spread = f"{min(case.cpu):.0f} to {max(case.cpu):.0f}"
        yield Figure(f"cpu_{case.name}", f"CPU per request, {case.what}", median(case.cpu), "µs", note=spread)
