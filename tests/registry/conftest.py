"""A registry on a real store, and proxies to put into it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tulle.model.names import ServiceName
from tulle.model.workload import Health, Protocol, Proxy, ServicePort, Workload
from tulle.registry.registry import Registry
from tulle.store.contract import Store
from tulle.store.sqlite import open_store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "state") as store:
        yield store


@pytest.fixture
def registry(store: Store) -> Registry:
    return Registry(store, lease_seconds=60, grace_seconds=0.3)


@pytest.fixture(scope="session")
def sidecar() -> Callable[..., Proxy]:
    """Makes the sidecar of one instance; the service's name is the id's without its last part."""

    def sidecar(
        id: str,
        *,
        namespace: str = "default",
        account: str = "",
        port: int | None = 80,
        protocol: Protocol = Protocol.HTTP,
        port_name: str = "",
        health: Health = Health.HEALTHY,
        address: str = "127.0.0.1",
        inbound_port: int = 40000,
    ) -> Proxy:
        name = id.rpartition("-")[0]
        ports = (ServicePort(port, 3000, protocol, port_name),) if port is not None else ()
        workload = Workload(id, ServiceName(namespace, name), account or name, ports=ports, health=health)
        return Proxy(id, address, inbound_port, 40001, (workload,))

    return sidecar
