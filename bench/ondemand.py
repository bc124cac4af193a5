"""Configuration on demand: what a first call costs, and what a sidecar holds of a large mesh."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from statistics import median, quantiles

from bench.figure import Figure
from bench.meshes import Mesh, Sidecar, call
from bench.population import population
from bench.processes import Failed, Memory, memory
from tulle.config import Settings
from tulle.control_plane.mesh import LiveMesh
from tulle.control_plane.running import running
from tulle.pipeline.view import View

_REGISTERED = 200
_PAUSE = 0.02
_LARGE, _SMALL, _ENDPOINTS, _USED = 1000, 10, 10, 5


def run(quick: bool) -> list[Figure]:
    return [*_first_calls(20 if quick else 60), *_of_a_large_mesh(quick)]


def _first_calls(called: int) -> Iterator[Figure]:
    """Each service is called twice, on a new connection each time: what is asked for, and then what is there."""
    first, steady = [], []
    with tempfile.TemporaryDirectory(prefix="tulle-bench-") as folder, ExitStack() as stack:
        mesh = Mesh(Path(folder), stack)
        names = stack.enter_context(population(mesh.folder, mesh.data, _REGISTERED, endpoints=2))
        mesh.up()
        caller = mesh.run("caller", "sleep", "infinity", options=("--capture", "proxy"))
        for name in names[:called]:
            first.append(_timed_call(caller, name))
            steady.append(_timed_call(caller, name))
            time.sleep(_PAUSE)
    # Envoy builds the whole route configuration anew for each virtual host that is added.
    growth = f"the first ten {median(first[:10]):.1f}, the last ten {median(first[-10:]):.1f}"
    note = f"{called} of {_REGISTERED} services called; load average {os.getloadavg()[0]:.1f}"
    yield Figure(
        "first_call",
        "first call of a service, over a steady one, p50",
        median(first) - median(steady),
        "ms",
        reach=15,
        note=f"{_spread('first', first)} ({growth}); {_spread('steady', steady)}; {note}",
    )


def _timed_call(caller: Sidecar, name: str) -> float:
    """In milliseconds."""
    started = time.perf_counter()
    status = call(caller.outbound, name)
    taken = time.perf_counter() - started
    if status != 200:
        raise Failed(f"{name} answered with {status}")
    return taken * 1e3


def _spread(what: str, values: list[float]) -> str:
    return f"{what} p50 {median(values):.1f}, p90 {quantiles(values, n=10)[-1]:.1f}"


def _of_a_large_mesh(quick: bool) -> Iterator[Figure]:
    sidecars, settle = (1, 2.0) if quick else (4, 10.0)
    with tempfile.TemporaryDirectory(prefix="tulle-bench-") as folder, ExitStack() as stack:
        small, large = Mesh(Path(folder, "small"), stack), Mesh(Path(folder, "large"), stack)
        for mesh, services in ((small, _SMALL), (large, 100 if quick else _LARGE)):
            mesh.folder.mkdir()
            stack.enter_context(population(mesh.folder, mesh.data, services, _ENDPOINTS))
        print("ondemand: services registered", file=sys.stderr, flush=True)
        held, received = asyncio.run(_sidecars_of((small, large), sidecars, settle))
    rss = [[each.rss for each in one] for one in held]
    private = [[each.private for each in one] for one in held]
    shape = f"{_LARGE} services × {_ENDPOINTS} endpoints, {_USED} used"
    yield Figure(
        "envoy_rss",
        f"Envoy's RSS in a mesh of {shape}, over a mesh of {_SMALL}",
        (median(rss[1]) / median(rss[0]) - 1) * 100,
        "%",
        reach=5,
        note=f"{_both(rss)} MB; private {_both(private)} MB; {sidecars} sidecars in each, after {settle:.0f} s",
    )
    yield Figure(
        "envoy_config",
        f"configuration received by that Envoy ({shape})",
        median(received[1]) / 1e3,
        "kB",
        reach=15,
        note=f"{median(received[0]) / 1e3:.1f} kB in the mesh of {_SMALL}",
    )


def _both(values: list[list[float]]) -> str:
    small, large = ([f"{each:.1f}" for each in sorted(one)] for one in values)
    return f"{'–'.join(large[:: len(large) - 1 or 1])} over {'–'.join(small[:: len(small) - 1 or 1])}"


async def _sidecars_of(
    meshes: tuple[Mesh, ...], sidecars: int, settle: float
) -> tuple[list[list[Memory]], list[list[int]]]:
    """For each mesh, the memory of its sidecars' Envoys and the bytes that they were sent.

    The control planes run in this process, so that the bytes can be counted. No caller's service has an earlier
    instance, so nothing is remembered for it.
    """
    async with AsyncExitStack() as stack:
        counts: list[dict[str, int]] = []
        for mesh in meshes:
            live = await stack.enter_async_context(running(Settings(data=mesh.data)))
            counts.append(_count(live))
        started: list[list[Sidecar]] = [[] for _ in meshes]
        for number in range(sidecars):
            for mesh, mine in zip(meshes, started, strict=True):
                mine.append(await asyncio.to_thread(_sidecar, mesh, f"caller-{number}"))
        await asyncio.sleep(settle)
        held = [[memory(sidecar.envoy) for sidecar in mine] for mine in started]
        received = [[count[sidecar.id] for sidecar in mine] for count, mine in zip(counts, started, strict=True)]
        for mesh in meshes:
            await asyncio.to_thread(mesh.stop)
        return held, received


def _sidecar(mesh: Mesh, name: str) -> Sidecar:
    sidecar = mesh.run(name, "sleep", "infinity", options=("--capture", "proxy"))
    for number in range(_USED):
        for _ in range(10):
            _timed_call(sidecar, f"svc-{number:04}")
    return sidecar


def _count(live: LiveMesh) -> dict[str, int]:
    """Bytes of configuration sent from now on, by proxy, without the frames of gRPC and TLS around them."""
    sent: dict[str, int] = {}
    connect = live.connect

    def counting(proxy_id: str, wake: Callable[[], None]) -> View:
        view = connect(proxy_id, wake)
        flush = view.session.flush

        def counted() -> list[bytes]:
            responses = flush()
            sent[proxy_id] = sent.get(proxy_id, 0) + sum(map(len, responses))
            return responses

        view.session.flush = counted  # type: ignore[method-assign]
        return view

    live.connect = counting  # type: ignore[method-assign]
    return sent
