"""Calls that fail while everything is restarted under load: instances, all services of a chain, the control plane, sidecars.

The load is GET and POST, over open connections and new ones, answered at once and after 20 ms, and no client tries
again. Nor may a sidecar: what Envoy has retried is a figure as well, as a retry may hide what went wrong.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

from bench.asking import Asked
from bench.deployment import Deployment, Instance, retries
from bench.figure import Figure
from bench.meshes import Mesh, Sidecar
from bench.processes import Failed

_SERVER = "bench.programs.server"
_LOAD = "bench.programs.load"
_MODES = ("redirect", "seccomp", "netns")
_CHAIN = ("front", "middle", "back")
_STEADY_SECONDS = 0.5


@dataclass
class Story:
    """Something that is done again and again. retried: by sidecars that have ended meanwhile."""

    name: str
    what: str
    service: str
    step: Callable[[int], None]
    steps: int
    calls: int
    retried: list[int] = field(default_factory=list)


def run(quick: bool) -> list[Figure]:
    share = 20 if quick else 1
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="tulle-bench-") as folder, ExitStack() as stack:
        mesh = Mesh(Path(folder), stack)
        deployment = Deployment(mesh, stack)
        deployment.control_plane()
        loads = list(_loads(mesh))
        for story in _stories(deployment, [sidecar for sidecar, _ in loads]):
            story.steps, story.calls = max(2, story.steps // share), story.calls // share
            figures += _told(story, deployment, loads)
    return figures


def _loads(mesh: Mesh) -> Iterator[tuple[Sidecar, Asked]]:
    """A client in each mode that captures any client and that this machine allows."""
    for mode in _MODES:
        try:
            yield mesh.run_asked(f"load-{mode}", _LOAD, options=("--capture", mode))
        except Failed as failed:
            print(f"restarts: no load: {mode}: {str(failed).strip().splitlines()[-1]}", file=sys.stderr, flush=True)


def _stories(deployment: Deployment, callers: list[Sidecar]) -> Iterator[Story]:
    pair = [deployment.started("service-b", _SERVER) for _ in range(2)]
    retried: list[int] = []
    yield Story("rolling", "rolling restarts", "service-b", _rolling(deployment, pair, retried), 50, 50_000, retried)
    what = "restarts of the control plane"
    yield Story("upgrade", what, "service-b", lambda _: deployment.control_plane(), 10, 0)
    what = "restarts of sidecars (`tulle proxy NAME restart`)"
    yield Story("sidecars", what, "service-b", _sidecars(deployment, pair, callers), 20, 0)
    chain = {
        name: deployment.started(name, _SERVER, *after)
        for name, after in reversed(list(zip(_CHAIN, (["middle"], ["back"], []), strict=True)))
    }
    gone: list[int] = []
    what = "redeploys of a chain of three services, one by one"
    yield Story("redeploy", what, "front", _redeploy(deployment, chain, gone), 50, 50_000, gone)


def _rolling(deployment: Deployment, pair: list[Instance], retried: list[int]) -> Callable[[int], None]:
    """The older of the two is stopped, and then started again."""

    def step(_: int) -> None:
        oldest = pair.pop(0)
        retried.append(retries(oldest.sidecar))
        oldest.stop()
        pair.append(deployment.started("service-b", _SERVER))

    return step


def _redeploy(deployment: Deployment, chain: dict[str, Instance], retried: list[int]) -> Callable[[int], None]:
    """One service after the other gets a new instance, and then loses its old one."""

    def step(number: int) -> None:
        name = _CHAIN[number % len(_CHAIN)]
        old = chain[name]
        chain[name] = deployment.started(*old.what)
        retried.append(retries(old.sidecar))
        old.stop()

    return step


def _sidecars(deployment: Deployment, pair: list[Instance], callers: list[Sidecar]) -> Callable[[int], None]:
    """Those of the callers, and those of the called, in turn."""

    def step(number: int) -> None:
        each = [*callers, *(instance.sidecar for instance in pair)]
        deployment.mesh.ask("proxy", each[number % len(each)].id, "restart")

    return step


def _told(story: Story, deployment: Deployment, loads: list[tuple[Sidecar, Asked]]) -> Iterator[Figure]:
    before = sum(retries(sidecar) for sidecar, _ in loads)
    for _, load in loads:
        load.ask("start", service=story.service, threads=1)
    time.sleep(_STEADY_SECONDS)
    steps = 0
    while steps < story.steps or sum(load.ask("done") for _, load in loads) < story.calls:
        story.step(steps)
        steps += 1
        print(f"restarts: {story.name} {steps} of {story.steps}", file=sys.stderr, flush=True)
    time.sleep(_STEADY_SECONDS)
    said = [load.ask("stop") for _, load in loads]
    times = [taken for one in said for kind in one["times"].values() for taken in kind]
    for (sidecar, _), one in zip(loads, said, strict=True):
        for failure in one["failures"]:
            print(f"restarts: {story.name}: {sidecar.id}: failed: {failure}", file=sys.stderr, flush=True)
    failed = sum(one["failed"] for one in said)
    slowest = f"p50 {median(times):.0f} ms, p99 {quantiles(times, n=100)[-1]:.0f}, slowest {max(times):,.0f}"
    note = f"{len(times) + failed:,} calls by {len(loads)} clients, {steps} {story.what}; {slowest}"
    load_average = f"load average {os.getloadavg()[0]:.1f}"
    yield Figure(f"failed_{story.name}", f"failed calls in {story.what}", failed, "", 1, f"{note}; {load_average}")
    callers = sum(retries(sidecar) for sidecar, _ in loads) - before
    services = sum(story.retried) + sum(retries(instance.sidecar) for instance in deployment.running)
    note = f"{callers} by the sidecars of the clients, {services} by those of the services"
    yield Figure(f"retries_{story.name}", f"calls retried by sidecars in {story.what}", callers + services, "", 1, note)
