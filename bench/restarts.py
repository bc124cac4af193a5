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

_SERVER = "bench.programs.server"
_LOAD = "bench.programs.load"
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
        loading, load = mesh.run_asked("load", _LOAD)
        for story in _stories(deployment, loading):
            story.steps, story.calls = max(2, story.steps // share), story.calls // share
            figures += _told(story, deployment, loading, load)
    return figures


def _stories(deployment: Deployment, loading: Sidecar) -> Iterator[Story]:
    pair = [deployment.started("service-b", _SERVER) for _ in range(2)]
    retried: list[int] = []
    yield Story("rolling", "rolling restarts", "service-b", _rolling(deployment, pair, retried), 50, 50_000, retried)
    what = "restarts of the control plane"
    yield Story("upgrade", what, "service-b", lambda _: deployment.control_plane(), 10, 0)
    what = "restarts of sidecars (`tulle proxy NAME restart`)"
    yield Story("sidecars", what, "service-b", _sidecars(deployment, pair, loading), 20, 0)
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


def _sidecars(deployment: Deployment, pair: list[Instance], loading: Sidecar) -> Callable[[int], None]:
    """The caller's, and those of the called, in turn."""

    def step(number: int) -> None:
        each = [loading.id, *(instance.sidecar.id for instance in pair)]
        deployment.mesh.ask("proxy", each[number % len(each)], "restart")

    return step


def _told(story: Story, deployment: Deployment, loading: Sidecar, load: Asked) -> Iterator[Figure]:
    before = retries(loading)
    load.ask("start", service=story.service, threads=2)
    time.sleep(_STEADY_SECONDS)
    steps = 0
    while steps < story.steps or load.ask("done") < story.calls:
        story.step(steps)
        steps += 1
        print(f"restarts: {story.name} {steps} of {story.steps}", file=sys.stderr, flush=True)
    time.sleep(_STEADY_SECONDS)
    said = load.ask("stop")
    times = [each for kind in said["times"].values() for each in kind]
    calls = len(times) + said["failed"]
    for failure in said["failures"]:
        print(f"restarts: {story.name}: failed: {failure}", file=sys.stderr, flush=True)
    of = f"{calls:,} calls, {steps} {story.what}"
    slowest = f"p50 {median(times):.0f} ms, p99 {quantiles(times, n=100)[-1]:.0f}, slowest {max(times):,.0f}"
    load_average = f"load average {os.getloadavg()[0]:.1f}"
    yield Figure(
        f"failed_{story.name}",
        f"failed calls in {story.what}",
        said["failed"],
        "",
        1,
        f"{of}; {slowest}; {load_average}",
    )
    mine = retries(loading) - before
    theirs = sum(story.retried) + sum(retries(instance.sidecar) for instance in deployment.running)
    note = f"{mine} by the sidecar of the load, {theirs} by those of the services"
    yield Figure(f"retries_{story.name}", f"calls retried by sidecars in {story.what}", mine + theirs, "", 1, note)
