"""What reports of so many sidecars cost a control plane, as JSON: arguments are sidecars and simulated seconds.

Once a minute an instance is replaced by another.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from tulle.api.figure_views import InstancesView
from tulle.api.figures_shown import Asked, Instances, graph, stats
from tulle.model.names import ServiceName
from tulle.model.workload import Workload
from tulle.telemetry.figures.memory import Figures
from tulle.telemetry.figures.report import BOUNDS, decoder

SIDECARS, SECONDS = int(sys.argv[1]), float(sys.argv[2])
INSTANCES = 5  # of each service
CALLS = 4  # services that each calls, and that call each
UNIX = 1.8e9
TIDY_EVERY = 60.0
FULL = 1000.0  # after so many seconds every slot of the last quarter of an hour has something
SERVICES = max(CALLS + 1, SIDECARS // INSTANCES)


def workload(number: int, start: int = 0) -> Workload:
    """start: how often it was started anew; an instance has an id of its own each time."""
    service = f"s{number % SERVICES}"
    return Workload(f"{service}-{number}-{start}", ServiceName("shop", service), "v1")


def labels(number: int, other: int, code: str, *, is_source: bool) -> dict[str, str]:
    """Istio's, as an agent tells them."""
    ends = {"source": number, "destination": other} if is_source else {"source": other, "destination": number}
    found = {
        "reporter": "source" if is_source else "destination",
        "request_protocol": "http",
        "response_code": code,
        "response_flags": "-",
        "grpc_response_status": "",
        "connection_security_policy": "unknown" if is_source else "mutual_tls",
        "destination_service": f"s{ends['destination']}.shop.svc.cluster.local",
        "destination_service_name": f"s{ends['destination']}",
        "destination_service_namespace": "shop",
    }
    for end, which in ends.items():
        name = f"s{which}"
        found |= {
            f"{end}_workload": f"{name}-v1",
            f"{end}_workload_namespace": "shop",
            f"{end}_principal": f"spiffe://cluster.local/ns/shop/sa/{name}",
            f"{end}_app": name,
            f"{end}_version": "v1",
            f"{end}_cluster": "tulle",
            f"{end}_canonical_service": name,
            f"{end}_canonical_revision": "v1",
        }
    return found


def series(number: int, other: int, code: str, *, is_source: bool) -> dict[str, Any]:
    buckets = [0] * (len(BOUNDS) + 1)
    buckets[2:7] = [3, 8, 6, 2, 1]
    return {
        "labels": labels(number, other, code, is_source=is_source),
        "requests": 20,
        "duration": {"sum": 240, "buckets": buckets},
        "request_bytes": 9000,
        "response_bytes": 30000,
    }


def body(number: int) -> bytes:
    """A report whose number is still to be put in. Every tenth sidecar sees errors as well."""
    service = number % SERVICES
    codes = ["200", "503"] if service % 10 == 0 else ["200"]
    told = [
        series(service, (service + sign * step) % SERVICES, code, is_source=sign > 0)
        for step in range(1, CALLS + 1)
        for sign in (1, -1)
        for code in codes
    ]
    return msgspec.json.encode({"boot": "b", "number": 10**9, "seconds": 2, "series": told})


def memory() -> float:
    """MB of 1,000,000 bytes that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


async def milliseconds(make: Callable[[], Awaitable[Any]]) -> float:
    found = []
    for _ in range(5):
        started = time.process_time()
        msgspec.json.encode(await make())
        found.append((time.process_time() - started) * 1000)
    return median(found)


async def main() -> None:
    now = 1000.0
    figures = Figures(lambda: now)
    bodies, workloads = [body(number) for number in range(SIDECARS)], [workload(number) for number in range(SIDECARS)]
    before, number, reports, cpu, tidied, worst_tidy, full = memory(), 10**9, 0, 0.0, now, 0.0, 0.0
    end, starts = now + SECONDS, 0
    while now < end:
        again = figures.again
        number += 1
        mark, this = b"1000000000", str(number).encode()
        for one, told in zip(workloads, bodies, strict=True):
            told = told.replace(mark, this, 1)
            started = time.process_time()
            await figures.take(one.id, one, decoder.decode(told))
            cpu += time.process_time() - started
            reports += 1
            now += again / SIDECARS
        if now - tidied > TIDY_EVERY:
            tidied = now
            started = time.process_time()
            await figures.tidy()
            took = time.process_time() - started
            cpu += took
            worst_tidy = max(worst_tidy, took)
            starts += 1
            workloads[starts % SIDECARS] = workload(starts % SIDECARS, starts)
        if not full and now > min(end - 1, 1000 + FULL):
            full = memory()
    instances = Instances({f"shop/s{n}": InstancesView(INSTANCES, INSTANCES) for n in range(SERVICES)})
    asked = Asked(60.0, now, UNIX)
    print(
        json.dumps(
            {
                "services": SERVICES,
                "report_us": cpu / reports * 1e6,
                "core": cpu / SECONDS * 100,
                "again": figures.again,
                "series": len(json.loads(bodies[1])["series"]),
                "bytes": len(bodies[1]),
                "flows": len(list(figures.flows)),
                "lost": figures.lost["series"],
                "before": before,
                "full": full,
                "after": memory(),
                "tidy_ms": worst_tidy * 1000,
                "graph_ms": await milliseconds(lambda: graph(figures, instances, asked)),
                "stats_ms": await milliseconds(lambda: stats(figures, instances, "service", asked)),
                "proxies_ms": await milliseconds(lambda: stats(figures, instances, "proxy", asked)),
            }
        )
    )


asyncio.run(main())
