"""A client that asks for names that are none, for simulated hours: what its sidecar and the control plane hold in the end."""

from __future__ import annotations

import asyncio
import http.client
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.figure import Figure
from bench.meshes import Mesh, Sidecar
from bench.processes import Failed, memory
from tulle.config import Settings
from tulle.control_plane.running import running
from tulle.pipeline.demands import STRANGER_SECONDS

_NAMES = 500  # each ten minutes: more than a sidecar may ask for at once
_ROUNDS_OF_AN_HOUR = 6


def run(quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="tulle-bench-") as folder, ExitStack() as stack:
        rounds = (2 if quick else 4) * _ROUNDS_OF_AN_HOUR
        return list(asyncio.run(_strangers(Mesh(Path(folder), stack), rounds)))


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def _strangers(mesh: Mesh, rounds: int) -> list[Figure]:
    """The control plane runs in this process, so that its time can be moved."""
    clock = _Clock()
    sizes: list[tuple[float, float]] = []
    cpu = 0.0
    async with running(Settings(data=mesh.data), steady=clock) as live:
        caller = await asyncio.to_thread(mesh.run, "caller", "sleep", "infinity", options=("--capture", "proxy"))
        view = live.hub.views[caller.id][-1]
        for number in range(rounds):
            started = time.thread_time()
            await asyncio.to_thread(_call, caller, [f"no-{number}-{n}.default.svc" for n in range(_NAMES)])
            cpu += time.thread_time() - started  # that of this thread: the control plane's
            clock.now += STRANGER_SECONDS
            live.evict()
            async with asyncio.timeout(30):
                while view.strangers or not view.ready:  # noqa: ASYNC110  what is waited for does not tell
                    await asyncio.sleep(0.01)
            sizes.append((memory(caller.envoy).private, memory(os.getpid()).private))
            print(f"strangers: {number + 1} of {rounds} rounds", file=sys.stderr, flush=True)
        await asyncio.to_thread(mesh.stop)
    return list(_figures(sizes, cpu))


def _figures(sizes: list[tuple[float, float]], cpu: float) -> Iterator[Figure]:
    first, last = sizes[_ROUNDS_OF_AN_HOUR - 1], sizes[-1]
    names = f"{len(sizes) * _NAMES:,} names, {_NAMES} each ten minutes of simulated time"
    for number, (key, who) in enumerate((("envoy", "Envoy's"), ("control_plane", "the control plane's"))):
        yield Figure(
            f"strangers_{key}",
            f"{who} memory after many hours of unknown names, over its first hour",
            (last[number] / first[number] - 1) * 100,
            "%",
            reach=5,
            note=f"private {first[number]:.1f} MB and then {last[number]:.1f} MB; {names}",
        )
    yield Figure(
        "strangers_cpu",
        "the control plane's CPU for an unknown name",
        cpu / (len(sizes) * _NAMES) * 1e6,
        "µs",
        note=f"{names}; 200 of {_NAMES} are looked up, the others refused",
    )


def _call(caller: Sidecar, hosts: list[str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", caller.outbound, timeout=30)
    for host in hosts:
        connection.request("GET", "/", headers={"Host": host})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 503:
            raise Failed(f"{host} answered with {answer.status}")
    connection.close()
