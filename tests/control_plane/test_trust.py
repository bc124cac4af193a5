"""Each step of a change of authorities waits for every proxy that is registered, and for nobody who has gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from tulle.api.ca import tell_trust
from tulle.control_plane.mesh import LiveMesh
from tulle.control_plane.timeline import Timeline
from tulle.control_plane.trust import TrustKeeper
from tulle.identity.authority import Authority, RotationRefused
from tulle.identity.crl import Revoked
from tulle.identity.root import new_root
from tulle.identity.trust import Holding
from tulle.model.names import ServiceName
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Proxy, ServicePort, Workload


def proxy(name: str) -> Proxy:
    workload = Workload(name, ServiceName("default", "web"), "web", "", (), (ServicePort(80, 8080),))
    return Proxy(name, "127.0.0.1", 15001, 15002, (workload,))


class Sessions:
    """A keeper, the proxies that are registered, and what their agents are told."""

    def __init__(self) -> None:
        self.authority = Authority(new_root(datetime.now(UTC)), time.time)
        self.mesh = LiveMesh(Timeline(time.time))
        self.keeper = TrustKeeper(self.authority, self.mesh, time.monotonic)
        self.told: dict[str, list[dict[str, object]]] = {}
        self.tasks: list[asyncio.Task[Any]] = []
        self._revision = 0

    def register(self, *names: str) -> None:
        for name in names:
            self._apply(name, proxy(name))
            lines = self.told[name] = []

            async def say(line: dict[str, object], lines: list[dict[str, object]] = lines) -> None:
                lines.append(line)

            self.tasks.append(asyncio.create_task(tell_trust(self.keeper, name, say)))

    def go(self, name: str) -> None:
        self._apply(name, None)

    def _apply(self, name: str, registered: Proxy | None) -> None:
        self._revision += 1
        self.mesh.hub.apply(Snapshot(self._revision, {name: registered}, {}, {}))

    def hold(self, *names: str, root: str | None = None) -> None:
        """They hold what is wanted, with certificates of `root`: of who signs now, if it is not said."""
        for name in names:
            signing = root or self.authority.known.active.root_id
            self.keeper.holds(name, Holding(self.authority.trust.version, signing))

    async def phase(self, wanted: str) -> None:
        async with asyncio.timeout(10):
            while self.keeper.ca().phase != wanted:  # noqa: ASYNC110  it does not tell
                await asyncio.sleep(0.01)


@asynccontextmanager
async def keeping() -> AsyncIterator[Sessions]:
    sessions = Sessions()
    sessions.tasks.append(asyncio.create_task(sessions.keeper.keep()))
    try:
        yield sessions
    finally:
        for task in sessions.tasks:
            task.cancel()
        for task in sessions.tasks:
            with suppress(asyncio.CancelledError):
                await task


async def test_the_new_root_signs_when_all_trust_it_and_the_old_one_goes_when_nobody_needs_it() -> None:
    async with keeping() as sessions:
        sessions.register("web-1", "web-2")
        sessions.hold("web-1", "web-2")
        old = sessions.authority.known.active.root_id
        await sessions.keeper.rotate(None)
        new = sessions.authority.known.anchors[1].root_id
        sessions.hold("web-1", root=old)
        await asyncio.sleep(0.05)
        assert sessions.keeper.ca().phase == "distributing"
        assert not any("renew" in line for line in sessions.told["web-1"])

        sessions.hold("web-2", root=old)
        await sessions.phase("renewing")
        async with asyncio.timeout(5):
            while not all(any("renew" in line for line in lines) for lines in sessions.told.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        with pytest.raises(RotationRefused, match="web-1, web-2 would be cut off"):
            await sessions.keeper.finish(force=False)

        sessions.hold("web-1", "web-2", root=new)
        assert sessions.keeper.ca().phase == "ready"
        await sessions.keeper.finish(force=False)
        assert [root.id for root in sessions.keeper.ca().roots] == [new]
        assert sessions.keeper.ca().trusting == 0, "none has said yet that it has dropped the old one"


async def test_a_proxy_that_has_gone_is_not_waited_for() -> None:
    async with keeping() as sessions:
        sessions.register("web-1", "web-2")
        await sessions.keeper.rotate(None)
        sessions.hold("web-1")
        sessions.go("web-2")
        await sessions.phase("renewing")
        sessions.hold("web-1")
        assert sessions.keeper.ca().phase == "ready"


async def test_what_a_proxy_says_before_it_is_known_counts_and_is_forgotten_long_after_it_has_gone() -> None:
    sessions = Sessions()
    sessions.hold("web-1")
    sessions.keeper._forget_gone()
    sessions.register("web-1")
    assert sessions.keeper.ca().trusting == 1
    sessions.keeper._forget_gone()
    sessions.go("web-1")
    sessions.keeper._forget_gone()
    assert sessions.keeper._held
    sessions.keeper._forget_gone()
    assert not sessions.keeper._held
    for task in sessions.tasks:
        task.cancel()


async def test_force_goes_one_step_at_a_time_as_the_others_have_to_renew() -> None:
    async with keeping() as sessions:
        sessions.register("web-1", "web-2")
        old = sessions.authority.known.active.root_id
        await sessions.keeper.rotate(None)
        sessions.hold("web-1", root=old)
        await sessions.keeper.finish(force=True)
        assert sessions.keeper.ca().phase == "renewing"
        sessions.hold("web-1")
        with pytest.raises(RotationRefused, match=r"^web-2 would be cut off"):
            await sessions.keeper.finish(force=False)
        await sessions.keeper.finish(force=True)
        assert sessions.keeper.ca().phase == "steady"


async def test_each_agent_is_told_of_every_change_of_what_it_is_to_trust() -> None:
    async with keeping() as sessions:
        sessions.register("web-1")
        await asyncio.sleep(0.01)
        sessions.authority.revoke([Revoked(1, time.time())])
        sessions.keeper.changed()
        await asyncio.sleep(0.01)
        first, second = (line["trust"] for line in sessions.told["web-1"])
        assert isinstance(first, dict) and isinstance(second, dict)
        assert first["bundle"] == second["bundle"] == sessions.authority.bundle_pem
        assert first["crl"] == "" and "BEGIN X509 CRL" in second["crl"]
        assert second["version"] == sessions.authority.trust.version


async def test_the_next_intermediate_waits_until_all_have_its_list() -> None:
    now = time.time()
    async with keeping() as sessions:
        sessions.register("web-1")
        sessions.authority.revoke([Revoked(1, now)])
        sessions.hold("web-1")
        first = sessions.authority.known.active.id
        sessions.authority._clock = lambda: now + 4 * 24 * 3600
        sessions.authority.renew()
        sessions.keeper.changed()
        await asyncio.sleep(0.05)
        assert sessions.authority.known.active.id == first
        sessions.hold("web-1")
        async with asyncio.timeout(5):
            while sessions.authority.known.active.id == first:  # noqa: ASYNC110  it does not tell
                await asyncio.sleep(0.01)
