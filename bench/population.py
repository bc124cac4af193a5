"""Services that nobody runs: registered with a lease that outlasts a benchmark, before the control plane is started.

One Envoy stands for all their sidecars and programs. It does not look at what a caller asks for, but a caller does all
that it does with a real one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import envoys
from bench.processes import free_port
from tulle.config import AUTHORITY
from tulle.model.names import ServiceName
from tulle.model.workload import Health, Proxy, ServicePort, Workload
from tulle.registry.registry import Registry
from tulle.store.sqlite import open_store

_LEASE_SECONDS = 3600.0
_ACCOUNT = "stand-in"


@contextmanager
def population(folder: Path, data: Path, services: int, endpoints: int) -> Iterator[list[str]]:
    """Within the block calls of these services are answered; gives their names. `data`: a new state folder."""
    port = free_port()
    names = [f"svc-{number:04}" for number in range(services)]
    addresses = [f"127.0.0.{2 + number}" for number in range(endpoints)]
    asyncio.run(_register(data, names, addresses, port))
    own = envoys.credentials(data / AUTHORITY, _ACCOUNT)
    name = f"stand-in-{data.name}"
    with envoys.envoy(folder, name, envoys.serving_sidecar(port, own, *addresses)):
        yield names


async def _register(data: Path, names: list[str], addresses: list[str], port: int) -> None:
    async with open_store(data) as store:
        registry = Registry(store, _LEASE_SECONDS)

        async def all_of(name: str) -> None:
            for address in addresses:
                await registry.register(_proxy(name, address, port))

        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(all_of(name), name=f"register {name}")


def _proxy(name: str, address: str, port: int) -> Proxy:
    id = f"{name}-{address.rpartition('.')[2]}"
    workload = Workload(
        id, ServiceName("default", name), _ACCOUNT, ports=(ServicePort(80, 8080),), health=Health.HEALTHY
    )
    return Proxy(id, address, port, 1, (workload,))
