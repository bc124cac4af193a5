"""`python -m bench.simulated.control_plane DATA`: the control plane as `tulle up` runs it, and who makes changes in it.

The changes come by the registry, as those of agents do, so each is on the disk before anyone is told of it. They are made
in this process so that its clock alone says when.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from bench.simulated import mesh
from bench.simulated.child import cpu_seconds, obey
from tulle.config import Settings
from tulle.control_plane import running
from tulle.control_plane.mesh import LiveMesh
from tulle.model.workload import Health
from tulle.registry.registry import Registry
from tulle.store.contract import Store
from tulle.store.sqlite import open_store
from tulle.xds.resources import EDS

_AT_ONCE = 256
_LEASE_SECONDS = 24 * 3600.0  # nobody sends heartbeats here
_LOOK_SECONDS = 0.1


class Driver:
    """Makes changes, and says when each was made and what came of it."""

    def __init__(self, live: LiveMesh, registry: Registry) -> None:
        self._live = live
        self._registry = registry
        self._draining: set[str] = set()

    async def settled(self, callees: int) -> None:
        """Return once every sidecar holds what it should, and so many callees are remembered."""
        while not self._is_settled(callees):  # noqa: ASYNC110  # looked for now and then, as looking costs CPU
            await asyncio.sleep(_LOOK_SECONDS)

    async def change(self, targets: list[tuple[int, int]], per_second: float) -> dict[str, Any]:
        """Turn instances, (service, instance), from healthy to draining or back: one after the other, evenly in time.

        Gives for each when it was due and when it was durable, in ns, and the version of the load assignment that came
        of it; and the CPU seconds that this process used until a moment after the last.
        """
        cpu = cpu_seconds()
        start = time.monotonic() + 0.1
        async with asyncio.TaskGroup() as tasks:
            made = []
            for number, (service, instance) in enumerate(targets):
                due = start + number / per_second
                await asyncio.sleep(due - time.monotonic())
                made.append(tasks.create_task(self._turn(service, instance, due), name=f"change {number}"))
        await asyncio.sleep(1)
        return {"changes": [task.result() for task in made], "cpu": cpu_seconds() - cpu}

    async def idle(self, seconds: float) -> float:
        """The CPU seconds per second that are used when nothing happens."""
        cpu = cpu_seconds()
        await asyncio.sleep(seconds)
        return (cpu_seconds() - cpu) / seconds

    async def _turn(self, service: int, instance: int, due: float) -> tuple[int, int, str]:
        proxy = mesh.proxy_id(service, instance)
        self._draining ^= {proxy}
        health = Health.DRAINING if proxy in self._draining else Health.HEALTHY
        await self._registry.set_health(proxy, proxy, health)
        durable = time.monotonic_ns()
        hub = self._live.hub
        await self._live.changes.until(proxy, lambda: hub.mesh.proxies[proxy].workloads[0].health is health)
        holder = hub.holders(mesh.service(service))[0]
        wanted = (EDS, mesh.cluster(service))
        return int(due * 1e9), durable, next(r.version for r in holder.session.wanted if r.key == wanted)

    def _is_settled(self, callees: int) -> bool:
        hub = self._live.hub
        remembered = sum(len(known) for known in hub.mesh.callees.values())
        return remembered == callees and all(view.ready for views in hub.views.values() for view in views)


async def _register(data: Path, services: int) -> None:
    """Before the start: as after a restart of a mesh that was there already."""
    async with open_store(data) as store:
        registry = Registry(store, _LEASE_SECONDS)
        proxies = [mesh.proxy(index, instance) for index in range(services) for instance in range(mesh.INSTANCES)]
        for start in range(0, len(proxies), _AT_ONCE):
            await asyncio.gather(*(registry.register(proxy) for proxy in proxies[start : start + _AT_ONCE]))


class _Known(Registry):
    """The control plane's registry, which only its own parts are given otherwise."""

    made: ClassVar[list[Registry]] = []

    def __init__(self, store: Store, lease_seconds: float) -> None:
        super().__init__(store, lease_seconds)
        self.made.append(self)


async def _main(data: str, services: str) -> None:
    folder = Path(data)
    await _register(folder, int(services))
    vars(running)["Registry"] = _Known
    async with running.running(Settings(folder, log_format="json", lease=_LEASE_SECONDS)) as live:
        driver = Driver(live, _Known.made[0])
        await obey({"settled": driver.settled, "change": driver.change, "idle": driver.idle})


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
