"""The calling sidecar where a host has 1, 10 or 100 routes: CPU and time per request that takes the last of them.

Rounds in changing order, as in bench/dataplane. Each number of routes is a host of its own, and all lead to one service; a second
host with one route shows what is noise. All calls are of one sidecar, whose own CPU alone is counted.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from bench import envoys
from bench.figure import Figure
from bench.load import wrk
from bench.meshes import TULLE, Mesh, Sidecar, call
from bench.processes import Failed, cpu_seconds, free_port, wait_for

_CONNECTIONS = 16


@dataclass
class Host:
    """A service whose VirtualService has so many routes, of which a request takes the last.

    cpu, p50: of the calling sidecar, microseconds, a value a round.
    """

    name: str
    routes: int
    cpu: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)


def run(quick: bool) -> list[Figure]:
    rounds, seconds = (2, 1) if quick else (12, 1)
    hosts = [Host("one", 1), Host("one-again", 1), Host("ten", 10), Host("hundred", 100)]
    with tempfile.TemporaryDirectory(prefix="tulle-bench-") as folder, ExitStack() as stack:
        calling = _mesh(Path(folder), stack, hosts)
        for number in range(rounds):
            for host in random.Random(number).sample(hosts, len(hosts)):
                _measure(calling, host, seconds)
            print(f"routes: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    return list(_figures(hosts, f"{rounds} interleaved rounds of {seconds} s"))


def _mesh(folder: Path, stack: ExitStack, hosts: list[Host]) -> Sidecar:
    """The sidecar of a caller that holds all the hosts, and their routes."""
    mesh = Mesh(folder, stack)
    mesh.up()
    target = free_port()
    program = envoys.command(folder, "program", envoys.program(target))
    mesh.run("served", *program, options=("--port", f"80:{target}"))
    mesh.serves("served")
    file = folder / "routes.json"
    file.write_bytes(b"\n".join(msgspec.json.encode(_document(host)) for host in hosts))
    done = subprocess.run((*TULLE, "apply", "-f", str(file)), env=mesh.env, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise Failed(f"tulle apply: {done.stderr}")
    calling = mesh.run("caller", "sleep", "infinity", options=("--capture", "proxy"))
    for host in hosts:
        wait_for(f"{host.name} is reached", partial(_reached, calling, host))
        wrk(calling.outbound, 1, _CONNECTIONS, host.name)
    return calling


def _reached(calling: Sidecar, host: Host) -> bool:
    return call(calling.outbound, host.name) == 200


def _document(host: Host) -> dict[str, Any]:
    """A VirtualService of a host of its own, as its routes are written: by path, header or both, one default at the end."""
    to = {"route": [{"destination": {"host": "served"}}]}
    others = [{"match": [_match(number)], **to} for number in range(host.routes - 1)]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": host.name},
        "spec": {"hosts": [host.name], "http": [*others, to]},
    }


def _match(number: int) -> dict[str, Any]:
    """One that no request of wrk fits: a prefix, a header, or a regular expression."""
    if number % 3 == 0:
        return {"uri": {"prefix": f"/other/{number}/"}}
    if number % 3 == 1:
        return {"headers": {"x-tenant": {"exact": f"tenant-{number}"}}}
    return {"uri": {"regex": f"/items/[0-9]+/{number}"}}


def _measure(calling: Sidecar, host: Host, seconds: int) -> None:
    before = cpu_seconds(calling.envoy)
    load = wrk(calling.outbound, seconds, _CONNECTIONS, host.name)
    host.cpu.append((cpu_seconds(calling.envoy) - before) / load.requests * 1e6)
    host.p50.append(wrk(calling.outbound, seconds, 1, host.name).p50)


def _figures(hosts: list[Host], note: str) -> Iterator[Figure]:
    one, again, *more = hosts
    plain = [*one.cpu, *again.cpu]
    noise = f"{median(again.cpu) / median(one.cpu):.2f}× between two hosts with one route"
    for host in more:
        yield Figure(
            f"cpu_ratio_{host.name}",
            f"CPU per request of the calling sidecar, {host.routes} routes over one",
            median(host.cpu) / median(plain),
            "×",
            note=f"{noise}; {note}, {_CONNECTIONS} connections, medians; load average {os.getloadavg()[0]:.1f}",
        )
    for host in hosts:
        what = f"CPU per request of the calling sidecar, {_told(host)}"
        spread = f"{min(host.cpu):.0f} to {max(host.cpu):.0f}; a call over one connection: {median(host.p50):.0f} µs"
        yield Figure(f"cpu_{host.name}", what, median(host.cpu), "µs", note=spread)


def _told(host: Host) -> str:
    again = " again" if host.name.endswith("-again") else ""
    return f"{host.routes} route{'s' if host.routes > 1 else ''}{again}"
