"""What is remembered of the control plane's answers, for how long, and how much."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest

from tulle.agent.dns.mesh_names import MeshNames

Until = Callable[..., Awaitable[Any]]
B = "service-b.default.svc.cluster.local"


class Memory:
    """The memory under test, with its clock."""

    def __init__(self, names: Any, group: asyncio.TaskGroup) -> None:
        self.names = names
        self.now = 0.0

        def spawn(work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
            return group.create_task(work, name=name)

        self.mesh = MeshNames(names, spawn, lambda: self.now)

    async def address(self, host: str) -> str | None:
        said = self.mesh.remembered(host) or await self.mesh.find(host)
        return said.address if said else "unknown"


@pytest.fixture
async def memory(names: Any) -> AsyncIterator[Memory]:
    async with asyncio.TaskGroup() as group:
        yield Memory(names, group)


async def test_an_address_is_asked_for_once_and_refreshed_beside_its_use(memory: Memory, until: Until) -> None:
    assert await memory.address(B) == "127.64.0.7"
    memory.now = 5.0
    assert await memory.address(B) == "127.64.0.7"
    assert memory.names.asked == [B]
    memory.now = 5.1
    memory.names.addresses[B] = "127.64.0.8"
    assert await memory.address(B) == "127.64.0.7"
    await until(lambda: memory.mesh.host_of("127.64.0.8"))
    assert memory.names.asked == [B, B]
    assert await memory.address(B) == "127.64.0.8"
    assert memory.mesh.host_of("127.64.0.7") is None


async def test_a_service_that_is_given_up_is_forgotten_with_the_next_refresh(memory: Memory, until: Until) -> None:
    await memory.address(B)
    del memory.names.addresses[B]
    memory.now = 6.0
    await memory.address(B)
    await until(lambda: memory.mesh.host_of("127.64.0.7") is None)
    assert await memory.address(B) is None


async def test_that_a_name_is_not_of_the_mesh_is_remembered_for_a_second(memory: Memory) -> None:
    for now in (0.0, 0.5, 1.0):
        memory.now = now
        assert await memory.address("x") is None
    assert memory.names.asked == ["x"]
    memory.now = 1.1
    memory.names.addresses["x"] = "127.64.0.9"
    assert await memory.address("x") == "127.64.0.9"


async def test_those_who_ask_at_the_same_time_share_one_question(memory: Memory) -> None:
    memory.names.answers.clear()
    asking = [asyncio.create_task(memory.address(B)) for _ in range(100)]
    await asyncio.sleep(0)
    asking[0].cancel()  # one that goes does not take the answer from the others
    memory.names.answers.set()
    assert set(await asyncio.gather(*asking[1:])) == {"127.64.0.7"}
    assert memory.names.asked == [B]


async def test_a_failure_is_not_remembered(memory: Memory) -> None:
    memory.names.is_away = True
    assert await memory.address(B) == "unknown"
    memory.names.is_away = False
    assert await memory.address(B) == "127.64.0.7"


async def test_the_memory_is_bounded_and_keeps_what_is_in_use(memory: Memory) -> None:
    await memory.address(B)
    for i in range(5000):
        await memory.address(f"absent-{i}")
    for i in range(5000):
        memory.names.addresses[f"there-{i}"] = f"127.65.{i >> 8}.{i & 255}"
        await memory.address(f"there-{i}")
        if i % 1000 == 0:
            await memory.address(B)
    assert memory.names.asked.count(B) == 1
    assert memory.mesh.remembered("there-4999") and not memory.mesh.remembered("there-0")
    assert memory.mesh.host_of("127.65.0.0") is None
    sizes = {key: len(value) for key, value in vars(memory.mesh).items() if isinstance(value, dict)}
    assert sizes == {"_known": 4096, "_absent": 1024, "_hosts": 4096, "_asked": 0}
