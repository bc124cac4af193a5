"""Pairs of sidecars that tell of their calls in one way or another, beside such that do not, and the rounds that measure them.

Rounds in changing order, as in bench/dataplane. Each sidecar is as tulle translates it, with its routes and endpoints in a
file. Spans go to an Envoy that answers everything: what an agent and a control plane do with them is not counted here.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

from bench import envoys, guarded
from bench.envoys import Credentials, Json
from bench.figure import Figure
from bench.load import wrk
from bench.meshes import call
from bench.processes import cpu_seconds, free_port, wait_for
from tulle.ir.access import Policy
from tulle.ir.telemetry import Telemetry
from tulle.model.spiffe import workload_id
from tulle.translate import names

CONNECTIONS = 16
BARE = Telemetry(tracing=None)


@dataclass
class Case:
    """One way to the program. telemetry, counts, without: as guarded.sidecar's; the default tells nothing.

    is_mesh: else a bare pair of Envoys. change: of both listeners of that pair, with the SPIFFE ID of the caller, or none at the
    caller's own. tapped: somebody looks at all calls; headers: and at theirs. cpu: of all its processes per request, in
    microseconds, a value a round.
    """

    name: str
    what: str
    telemetry: Telemetry = BARE
    counts: tuple[str, ...] = ()
    without: tuple[str, ...] = (guarded.CALLS, guarded.IDS)
    rules: tuple[Policy, ...] = ()
    decides: bool = False
    tapped: bool = False
    headers: bool = False
    is_mesh: bool = True
    change: Callable[[Json, str], Json] = lambda listener, _: listener
    reach: float | None = None
    port: int = 0
    pids: tuple[int, ...] = ()
    cpu: list[float] = field(default_factory=list)


def start(folder: Path, stack: ExitStack, cases: Sequence[Case]) -> int:
    """Runs them until the stack ends. The port of their program, in plain HTTP."""
    target = free_port()
    caller, server = (envoys.credentials(folder / "ca", account) for account in (guarded.CALLER, "service-b"))
    guarded.write_identity(folder, server)
    stack.enter_context(envoys.envoy(folder, "program", envoys.program(target)))
    for case in cases:
        make = _sidecars if case.is_mesh else _bare_pair
        make(folder, stack, case, target, caller, server)
        wait_for(f"{case.name} is reached", partial(_reached, case.port))
        wrk(case.port, 1, CONNECTIONS)
    return target


def _bare_pair(
    folder: Path, stack: ExitStack, case: Case, target: int, caller: Credentials, server: Credentials
) -> None:
    inbound, case.port = free_port(), free_port()
    collector = _collector(target)
    serves = case.change(envoys.serving_half(inbound, server), workload_id("default", guarded.CALLER))
    calls = case.change(envoys.calling_half(case.port), "")
    serving = envoys.envoy(folder, f"{case.name}-b", serves, envoys.in_plain(target), collector)
    calling = envoys.envoy(folder, f"{case.name}-a", calls, envoys.over_mtls(inbound, caller), collector)
    case.pids = (stack.enter_context(serving), stack.enter_context(calling))


def _sidecars(
    folder: Path, stack: ExitStack, case: Case, target: int, caller: Credentials, server: Credentials
) -> None:
    inbound, case.port = free_port(), free_port()
    settings = guarded.settings(tapped=case.tapped, headers=case.headers)
    collector = _collector(target)
    listener, programs = guarded.sidecar(
        inbound,
        target,
        case.rules,
        decides=case.decides,
        counts=case.counts,
        telemetry=case.telemetry,
        without=case.without,
    )
    serving = envoys.envoy(folder, f"{case.name}-b", listener, *programs, collector, settings=settings)
    upstream = guarded.cluster_to(inbound, caller)
    door = guarded.calling_sidecar(case.port, case.counts, case.telemetry, case.without)
    calling = envoys.envoy(folder, f"{case.name}-a", door, upstream, collector, settings=settings)
    case.pids = (stack.enter_context(serving), stack.enter_context(calling))


def _collector(target: int) -> Json:
    return {**envoys.in_plain(target), "name": names.AGENT}


def _reached(port: int) -> bool:
    return call(port, "service-b") == 200


def measure(name: str, cases: Sequence[Case], rounds: int, seconds: int) -> None:
    for number in range(rounds):
        for case in random.Random(number).sample(cases, len(cases)):
            before = sum(map(cpu_seconds, case.pids))
            load = wrk(case.port, seconds, CONNECTIONS)
            case.cpu.append((sum(map(cpu_seconds, case.pids)) - before) / load.requests * 1e6)
        print(f"{name}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)


def ratios(one: Case, again: Case, others: Sequence[Case], what: Callable[[Case], str], note: str) -> list[Figure]:
    """Of CPU, over two equal ones; what these differ by is noise. Then what all are made of."""
    plain = median(one.cpu + again.cpu)
    noise = f"{median(again.cpu) / median(one.cpu):.2f}× between two equal ones"
    load = f"medians; load average {os.getloadavg()[0]:.1f}"
    made = [
        Figure(
            f"cpu_ratio_{case.name}",
            what(case),
            median(case.cpu) / plain,
            "×",
            reach=case.reach,
            note=f"{noise}; {note}, {CONNECTIONS} connections, {load}",
        )
        for case in others
    ]
    for case in (one, again, *others):
        spread = f"{min(case.cpu):.0f} to {max(case.cpu):.0f}"
        made.append(Figure(f"cpu_{case.name}", f"CPU per request, {case.what}", median(case.cpu), "µs", note=spread))
    return made
