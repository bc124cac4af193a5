"""Waiting until a change is in force: for all who need it, and for those who needed what it takes the place of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from declared_mesh import instance, resources
from envoy_like import EnvoyLike
from tulle.api.doors import Generation, Progress
from tulle.control_plane.force import InForceReports
from tulle.control_plane.mesh import LiveMesh
from tulle.model.resources.resource import Ref, Resource
from tulle.model.snapshot import Snapshot

Connect = Callable[..., EnvoyLike]

ROUTE = """
VirtualService reviews
hosts: [reviews]
http: [{route: [{destination: {host: reviews}}]}]
"""


@pytest.fixture
def mesh(mesh: LiveMesh) -> LiveMesh:
    there = (instance("reviews"), *(instance("page", number=number) for number in range(2)))
    mesh.hub.apply(Snapshot(1, {proxy.id: proxy for proxy in there}))
    return mesh


async def declare(mesh: LiveMesh, ref: Ref, resource: Resource | None, revision: int = 2) -> None:
    async def one() -> object:
        yield Snapshot(revision, resources={ref: resource})

    await mesh.follow(one(), asyncio.Event())  # type: ignore[arg-type]


def page(connect: Connect, number: int) -> EnvoyLike:
    envoy = connect(f"page-default-v1-{number}").settle()
    envoy.ask("reviews")
    return envoy.settle()


class Waiting:
    """A change that is waited for. steps: all that was said of it."""

    def __init__(self, mesh: LiveMesh, ref: Ref, within: float = 20) -> None:
        self._awaited = InForceReports(mesh).awaited([ref])
        self._within = within
        self.steps: list[Progress] = []
        self.news = asyncio.Event()

    def begin(self, made: Mapping[Ref, Generation | None]) -> None:
        self.task = asyncio.create_task(self._follow(made), name="wait")

    async def _follow(self, made: Mapping[Ref, Generation | None]) -> None:
        async for step in self._awaited.progress(made, self._within):
            self.steps.append(step)
            self.news.set()

    async def step(self) -> Progress:
        async with asyncio.timeout(20):
            await self.news.wait()
        self.news.clear()
        return self.steps[-1]

    async def end(self) -> Progress:
        async with asyncio.timeout(20):
            await self.task
        return self.steps[-1]


async def test_it_is_over_when_the_last_who_needs_it_has_acknowledged(mesh: LiveMesh, connect: Connect) -> None:
    first, second = page(connect, 0), page(connect, 1)
    (route,) = resources(ROUTE)
    waiting = Waiting(mesh, route.ref)
    waiting.begin({route.ref: (route.created, 1)})
    await declare(mesh, route.ref, route)
    assert await waiting.step() == Progress(
        2, 0, (), ("page-default-v1-0", "page-default-v1-1"), taken_up=True, is_over=False
    )
    first.settle()
    assert (await waiting.step()).missing == ("page-default-v1-1",)
    second.settle()
    assert await waiting.end() == Progress(2, 2, (), (), taken_up=True, is_over=True)


async def test_nobody_needs_it(mesh: LiveMesh) -> None:
    (route,) = resources(ROUTE)
    waiting = Waiting(mesh, route.ref)
    await declare(mesh, route.ref, route)
    waiting.begin({route.ref: (route.created, 1)})
    assert await waiting.end() == Progress(0, 0, (), (), taken_up=True, is_over=True)


async def test_who_held_what_a_deleted_one_was_made_into_is_waited_for(mesh: LiveMesh, connect: Connect) -> None:
    (route,) = resources(ROUTE.replace("[{route", "[{timeout: 7s, route"))
    await declare(mesh, route.ref, route)
    envoy = page(connect, 0)
    waiting = Waiting(mesh, route.ref)
    waiting.begin({route.ref: None})
    await declare(mesh, route.ref, None, revision=3)
    assert not (await waiting.step()).is_over
    envoy.settle()
    assert await waiting.end() == Progress(1, 1, (), (), taken_up=True, is_over=True)


async def test_one_that_refuses_it_ends_the_wait_though_others_have_not_answered(
    mesh: LiveMesh, connect: Connect
) -> None:
    first, _ = page(connect, 0), page(connect, 1)
    (route,) = resources(ROUTE.replace("[{route", "[{timeout: 7s, route"))
    waiting = Waiting(mesh, route.ref)
    waiting.begin({route.ref: (route.created, 1)})
    first.refuses = frozenset({"outbound.page-default-v1-0/reviews.default.svc.cluster.local:80"})
    await declare(mesh, route.ref, route)
    first.settle()
    last = await waiting.end()
    assert last.rejected == (("page-default-v1-0", "no"),)
    assert (last.acknowledged, last.missing, last.is_over) == (0, ("page-default-v1-1",), True)


async def test_who_is_gone_is_not_waited_for(mesh: LiveMesh, connect: Connect) -> None:
    envoy = page(connect, 0)
    (route,) = resources(ROUTE)
    waiting = Waiting(mesh, route.ref)
    waiting.begin({route.ref: (route.created, 1)})
    await declare(mesh, route.ref, route)
    await waiting.step()
    mesh.hub.disconnect(envoy.view)
    mesh.changes.touch(envoy.view.proxy_id)
    assert (await waiting.end()).is_over


async def test_time_is_up(mesh: LiveMesh, connect: Connect) -> None:
    page(connect, 0)
    (route,) = resources(ROUTE)
    waiting = Waiting(mesh, route.ref, within=0.05)
    await declare(mesh, route.ref, route)
    waiting.begin({route.ref: (route.created, 1)})
    assert await waiting.end() == Progress(1, 0, (), ("page-default-v1-0",), taken_up=True, is_over=True)
    waiting = Waiting(mesh, route.ref, within=0.05)
    waiting.begin({route.ref: (route.created, 2)})
    assert await waiting.end() == Progress(0, 0, (), (), taken_up=False, is_over=True)


async def test_a_host_that_is_new_is_waited_for_with_all_whose_sidecars_must_know_it(
    mesh: LiveMesh, connect: Connect
) -> None:
    envoys = [page(connect, number) for number in range(2)]
    (entry,) = resources(
        "ServiceEntry outside\nhosts: [api.example.com]\nports: [{number: 80, name: http, protocol: HTTP}]\nresolution: DNS"
    )
    waiting = Waiting(mesh, entry.ref)
    waiting.begin({entry.ref: (entry.created, 1)})
    await declare(mesh, entry.ref, entry)
    assert (await waiting.step()).needed == 2
    for envoy in envoys:
        envoy.settle()
    assert await waiting.end() == Progress(2, 2, (), (), taken_up=True, is_over=True)
