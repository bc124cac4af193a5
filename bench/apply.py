"""Declared resources: how long until a VirtualService is in force, whom that wakes, and what ten thousand resources cost.

A change is applied as the command does it, over the API, and is in force when the API says so: when the last sidecar that
needs it has acknowledged.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from bench.figure import Figure
from bench.meshes import Mesh, call
from bench.population import population
from bench.processes import Failed
from bench.simulated import mesh as names
from bench.simulated.simulation import Simulation, simulation
from tulle.cli.client import ControlPlane
from tulle.cli.resources.sending import apply_and_follow
from tulle.sources.documents import documents

_SIDECARS = 100
_WITHIN = 30.0
_FIRST_STATUS = 400
_SERVICE = re.compile(r"\bservice-(\d{4})\.default")


def run(quick: bool) -> list[Figure]:
    changes, many = (5, 200) if quick else (100, 10_000)
    return [*asyncio.run(_simulated(changes)), *_real(changes), *_many(many)]


async def _simulated(changes: int) -> list[Figure]:
    async with simulation(_SIDECARS) as simulated:
        await simulated.connect()
        await simulated.call_shared()
        control_plane = ControlPlane(simulated.data)
        delays = [await _shared(control_plane, simulated, number) for number in range(changes)]
        await simulated.received()
        strays, sends = await _strays(control_plane, simulated, changes)
    what = f"apply of one VirtualService until it is in force on {_SIDECARS} simulated sidecars"
    return [
        Figure(
            "apply_p50", f"{what}, p50", _percentile(delays, 50), "ms", note=f"{changes} changes, one after the other"
        ),
        Figure("apply_p99", f"{what}, p99", _percentile(delays, 99), "ms"),
        Figure(
            "apply_strays",
            "sends to sidecars that do not hold the host of a VirtualService",
            strays,
            "",
            reach=1,
            note=f"in {changes} changes of hosts that {names.HELD} of {_SIDECARS} sidecars hold; {sends} sends to those",
        ),
    ]


async def _shared(control_plane: ControlPlane, simulated: Simulation, number: int) -> float:
    route = _route("shared", str(names.service(simulated.shared)), _FIRST_STATUS + number)
    taken, needed = await asyncio.to_thread(_applied, control_plane, route)
    if needed != _SIDECARS:
        raise Failed(f"{needed} sidecars needed it, not {_SIDECARS}")
    return taken


async def _strays(control_plane: ControlPlane, simulated: Simulation, changes: int) -> tuple[int, int]:
    """Sends of what is of a host to sidecars that do not hold it, and to those that do."""
    for number in range(changes):
        service = number % _SIDECARS
        route = _route(f"r{service}", str(names.service(service)), _FIRST_STATUS + number)
        await asyncio.to_thread(_applied, control_plane, route)
    strays = sends = 0
    for _, sidecar, name, _ in await simulated.received():
        of = _SERVICE.search(name)
        if of and sidecar in names.holders(int(of[1]), _SIDECARS):
            sends += 1
        else:
            strays += 1
    return strays, sends


def _real(changes: int) -> Iterator[Figure]:
    delays = []
    with tempfile.TemporaryDirectory(prefix="tulle-bench-") as folder, ExitStack() as stack:
        mesh = Mesh(Path(folder), stack)
        (name, *_) = stack.enter_context(population(mesh.folder, mesh.data, 10, endpoints=2))
        mesh.up()
        caller = mesh.run("caller", "sleep", "infinity", options=("--capture", "proxy"))
        call(caller.outbound, name)
        for number in range(changes):
            status = _FIRST_STATUS + number
            taken, needed = _applied(ControlPlane(mesh.data), _route("route", name, status))
            delays.append(taken)
            if needed != 1 or (found := call(caller.outbound, name)) != status:
                raise Failed(f"{needed} sidecars needed it; the next call is answered with {found}, not {status}")
    what = "the same on one Envoy"
    note = f"{changes} changes; the next call went by each"
    yield Figure("apply_envoy_p50", f"{what}, p50", _percentile(delays, 50), "ms", note=note)
    yield Figure("apply_envoy_p99", f"{what}, p99", _percentile(delays, 99), "ms")


def _many(number: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="tulle-bench-") as folder, ExitStack() as stack:
        mesh = Mesh(Path(folder), stack)
        file = Path(folder, "many.yaml")
        file.write_text("---\n".join(_document(index) for index in range(number)))
        mesh.up()
        environ = {**os.environ, "TULLE_DATA": str(mesh.data)}
        size = f"{file.stat().st_size / 1e6:.1f} MB of YAML"
        seconds, peak = _command(["validate", "-f", str(file)], environ)
        what = f"{number:,} resources"
        yield Figure("validate_many", f"tulle validate of {what}", seconds, "s", note=f"{size}; at most {peak:.0f} MB")
        with _asking(ControlPlane(mesh.data)) as answers:
            seconds, peak = _command(["apply", "-f", str(file), "--wait", "--timeout", "5m", "-o", "name"], environ)
        pid = ControlPlane(mesh.data).get("/v1/status", dict[str, Any])["pid"]
        note = f"the command at most {peak:.0f} MB, the control plane {_peak_of(pid):.0f} MB"
        yield Figure("apply_many", f"tulle apply --wait of {what}", seconds, "s", note=note)
        yield Figure(
            "apply_stall",
            "longest that the control plane let another request wait meanwhile",
            max(answers) * 1e3,
            "ms",
            note=f"of {len(answers):,} requests",
        )
        seconds, _ = _command(["analyze", "-A", "--failure-threshold", "error"], environ)
        yield Figure("analyze_many", f"tulle analyze of {what}", seconds, "s")


def _document(index: int) -> str:
    """A VirtualService or a DestinationRule of a host that is one's own."""
    host = f"service-{index // 2:05}.example.com"
    kind, spec = (
        ("VirtualService", {"hosts": [host], "http": [{"redirect": {"uri": "/new"}}]})
        if index % 2
        else ("DestinationRule", {"host": host, "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 9}}}})
    )
    metadata = f"metadata: {{name: r{index:05}}}"
    return f"apiVersion: networking.istio.io/v1\nkind: {kind}\n{metadata}\nspec: {json.dumps(spec)}\n"


def _route(name: str, host: str, status: int) -> bytes:
    full = f"{host.partition('.')[0]}.default.svc.cluster.local"
    document = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name},
        "spec": {"hosts": [full], "http": [{"directResponse": {"status": status}}]},
    }
    return msgspec.json.encode(document)


def _applied(control_plane: ControlPlane, document: bytes) -> tuple[float, int]:
    """In milliseconds, and how many sidecars needed it. Raises Failed if it is not in force on all."""
    started = time.perf_counter()
    with apply_and_follow(control_plane, documents(document, "bench"), None, _WITHIN) as (_, steps):
        last = list(steps)[-1]
    taken = (time.perf_counter() - started) * 1e3
    if not last.taken_up or last.rejected or last.missing:
        raise Failed(f"a change is not in force: {last}")
    return taken, last.needed


def _command(words: Sequence[str], environ: dict[str, str]) -> tuple[float, float]:
    """Its seconds, and the most memory that it had, in MB."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "tulle", *words], env=environ, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(f"tulle {words[0]} ended with {process.returncode}")
    return time.perf_counter() - started, used.ru_maxrss / 1024


def _peak_of(pid: int) -> float:
    """In MB, from proc(5)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


@contextmanager
def _asking(control_plane: ControlPlane) -> Iterator[list[float]]:
    """Asks for little again and again within the block; how many seconds each took."""
    answers: list[float] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            started = time.perf_counter()
            control_plane.get("/v1/version", dict[str, Any])
            answers.append(time.perf_counter() - started)
            time.sleep(0.002)

    thread = threading.Thread(target=ask, name="asking")
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()


def _percentile(values: Sequence[float], percent: float) -> float:
    """The nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
