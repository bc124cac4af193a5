"""Two sidecars beside a bare pair of Envoys and a direct call: CPU and time per request.

Many short rounds, each of which runs all of them once in another order, so that the drift of a busy machine hits all
alike. The bare pair is there twice: what its two rows differ by is noise. All end at the same program.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench import envoys
from bench.figure import Figure
from bench.load import wrk
from bench.meshes import Mesh, Sidecar, call
from bench.processes import Failed, cpu_seconds, free_port, wait_for

_CONNECTIONS = 16
_NAMES = {
    "direct": "direct",
    "tulle": "two sidecars",
    "bare": "bare pair",
    "bare-again": "bare pair again",
}


@dataclass
class Way:
    """One way to the program: where its calls go in, the Envoys on it, and what was measured, a value a round.

    cpu: of all its Envoys, per request. p50: over one connection, which never waits for another. Both in microseconds.
    """

    name: str
    port: int
    pids: tuple[int, ...] = ()
    cpu: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)


def run(quick: bool) -> list[Figure]:
    rounds, seconds = (2, 1) if quick else (25, 1)
    with tempfile.TemporaryDirectory(prefix="tulle-bench-") as folder, ExitStack() as stack:
        ways = _ways(Path(folder), stack)
        for way in ways:
            wrk(way.port, 1, _CONNECTIONS)
        for number in range(rounds):
            for way in random.Random(number).sample(ways, len(ways)):
                _measure(way, seconds)
            print(f"dataplane: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    return list(_figures(ways, f"{rounds} interleaved rounds of {seconds} s"))


def _ways(folder: Path, stack: ExitStack) -> list[Way]:
    """The direct call, the bare pair, the bare pair again, and tulle. The program is the one that tulle runs."""
    target = free_port()
    tulle = _tulle(folder, stack, target)
    bare = [_bare_pair(folder, stack, name, target) for name in ("bare", "bare-again")]
    return [Way("direct", target), *bare, tulle]


def _bare_pair(folder: Path, stack: ExitStack, name: str, target: int) -> Way:
    caller, server = (envoys.credentials(folder / "ca", account) for account in ("service-a", "service-b"))
    outbound, inbound = free_port(), free_port()
    serving = envoys.envoy(folder, f"{name}-b", envoys.serving_half(inbound, server), envoys.in_plain(target))
    calling = envoys.envoy(folder, f"{name}-a", envoys.calling_half(outbound), envoys.over_mtls(inbound, caller))
    return Way(name, outbound, (stack.enter_context(serving), stack.enter_context(calling)))


def _tulle(folder: Path, stack: ExitStack, target: int) -> Way:
    mesh = Mesh(folder, stack)
    mesh.up()
    program = envoys.command(folder, "program", envoys.program(target))
    serving = mesh.run("service-b", *program, options=("--port", f"80:{target}"))
    mesh.serves("service-b")
    calling = mesh.run("service-a", "sleep", "infinity", options=("--capture", "proxy"))
    wait_for("service-a reaches service-b", lambda: call(calling.outbound, "service-b") == 200)
    _check_features(mesh, calling)
    return Way("tulle", calling.outbound, (serving.envoy, calling.envoy))


def _check_features(mesh: Mesh, calling: Sidecar) -> None:
    """Without them the comparison would be worth nothing."""
    config = json.dumps(mesh.ask("proxy", calling.id, "config"))
    for feature in ("retry_policy", "outlier_detection", "on_demand", "vhds"):
        if f'"{feature}' not in config and f"http.{feature}" not in config:
            raise Failed(f"the calling sidecar has no {feature}")


def _measure(way: Way, seconds: int) -> None:
    before = sum(map(cpu_seconds, way.pids))
    load = wrk(way.port, seconds, _CONNECTIONS)
    way.cpu.append((sum(map(cpu_seconds, way.pids)) - before) / load.requests * 1e6)
    way.rate.append(load.requests / seconds)
    way.p50.append(wrk(way.port, seconds, 1).p50)


def _figures(ways: list[Way], note: str) -> Iterator[Figure]:
    direct, bare, again, tulle = ways
    noise = f"{median(again.cpu) / median(bare.cpu):.2f}× between two equal bare pairs"
    yield Figure(
        "cpu_ratio",
        "CPU per request, two sidecars over a bare pair of Envoys (mTLS, h2)",
        median(tulle.cpu) / median(bare.cpu + again.cpu),
        "×",
        reach=1.15,
        note=f"{noise}; {note}, {_CONNECTIONS} connections, medians; load average {os.getloadavg()[0]:.1f}",
    )
    for way in (tulle, bare, again):
        what = f"CPU per request, {_NAMES[way.name]}"
        yield Figure(f"cpu_{way.name}", what, median(way.cpu), "µs", note=f"{min(way.cpu):.0f} to {max(way.cpu):.0f}")
    for way in (direct, tulle, bare, again):
        what = f"time of a call, p50, {_NAMES[way.name]}"
        rate = f"{median(way.rate):,.0f} requests/s over {_CONNECTIONS} connections"
        yield Figure(f"p50_{way.name}", what, median(way.p50), "µs", note=f"over one connection; {rate}")
