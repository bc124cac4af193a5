"""What a certificate costs, and a thousand workloads that renew theirs within a minute (two minutes).

The workloads are agents without programs: each asks the running control plane over its socket as an agent does, at the times at
which an agent would. Their keys are made beforehand, as that is their own machines' work.
"""

from __future__ import annotations

import asyncio
import math
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench.figure import Figure
from bench.meshes import Mesh
from bench.processes import cpu_seconds
from tulle.agent.api import ControlPlane
from tulle.agent.credentials import renewal_after
from tulle.agent.keys import made
from tulle.identity.authority import Authority
from tulle.identity.root import new_root
from tulle.model.spiffe import workload_id

_LATE_SECONDS = 1.0


@dataclass(frozen=True)
class Size:
    """ttl: of the certificates, in seconds. spread: the first ones are issued evenly over so many seconds."""

    certificates: int
    rounds: int
    workloads: int
    ttl: float
    spread: float


# Due between 40 and 50 % of 120 s after the first, which take 48 s: so all renew within a minute.
FULL = Size(certificates=3000, rounds=5, workloads=1000, ttl=120, spread=48)
QUICK = Size(certificates=300, rounds=1, workloads=100, ttl=20, spread=5)


def run(quick: bool) -> list[Figure]:
    size = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="tulle-bench-") as folder, ExitStack() as stack:
        return [_issued(size), *asyncio.run(_renewed(Mesh(Path(folder), stack), size))]


def _issued(size: Size) -> Figure:
    """All that is done for a request: read, its signature verified, a leaf signed, both encoded."""
    authority = Authority(new_root(datetime.now(UTC)), time.time)
    web = workload_id("default", "web")
    requests = [made("default", "web", "web-1")["identity"]["csr"] for _ in range(100)]
    rounds = []
    for _ in range(size.rounds):
        started = time.process_time()
        for number in range(size.certificates):
            authority.issue(requests[number % 100], web, 3600)
        rounds.append((time.process_time() - started) / size.certificates)
    cost = median(rounds)
    note = f"{1 / cost:,.0f} a second on one core; ECDSA P-256, request verified"
    return Figure("identity_issue", "CPU of a certificate", round(cost * 1000, 3), "ms", 1, note)


async def _renewed(mesh: Mesh, size: Size) -> Sequence[Figure]:
    control_plane = mesh.up("--cert-ttl", f"{size.ttl:g}s")
    workloads = [_request(number) for number in range(size.workloads)]
    start = time.time() + 1
    begins = [start + number * size.spread / size.workloads for number in range(size.workloads)]
    cpu = cpu_seconds(control_plane)
    async with asyncio.TaskGroup() as tasks:
        all_of_them = [
            tasks.create_task(_life(ControlPlane(mesh.data), request, begin))
            for request, begin in zip(workloads, begins, strict=True)
        ]
    print(f"identity: {size.workloads} workloads have renewed", file=sys.stderr, flush=True)
    cpu = (cpu_seconds(control_plane) - cpu) / (2 * size.workloads)
    due, took = zip(*(task.result() for task in all_of_them), strict=True)
    within = max(due) - min(due)
    of = f"{size.workloads:,} workloads renew within {within:.0f} s, over the API"
    return [
        Figure("identity_late", "late renewals", sum(one > _LATE_SECONDS for one in took), "", 1, of),
        Figure(
            "identity_renewal_p99", "a renewal, p99, from when it was due", _percentile(took, 99) * 1000, "ms", None, of
        ),
        Figure(
            "identity_enrol_cpu",
            "CPU of the control plane for an enrolment",
            round(cpu * 1000, 2),
            "ms",
            None,
            "two certificates, and Envoy's bootstrap",
        ),
    ]


async def _life(control_plane: ControlPlane, request: dict[str, Any], begin: float) -> tuple[float, float]:
    """Enrols, and renews when an agent would: when that was due, and how long after that it had its certificates."""
    await asyncio.sleep(begin - time.time())
    enrolment = await control_plane.enrol(request)
    due = time.time() + renewal_after(enrolment, random.random())
    await asyncio.sleep(due - time.time())
    await control_plane.enrol(request)
    return due, time.time() - due


def _request(number: int) -> dict[str, Any]:
    proxy = f"web-{number:06x}"
    keys = made("default", "web", proxy)
    return {
        "proxy": proxy,
        "namespace": "default",
        "service": "web",
        "service_account": "web",
        "csr": keys["identity"]["csr"],
        "proxy_csr": keys["proxy"]["csr"],
        "proof": keys["proof"],
    }


def _percentile(values: Sequence[float], percent: int) -> float:
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]
