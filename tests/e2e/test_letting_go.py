"""What a sidecar holds and nobody needs is taken away from it under load, and asked for again: no call fails.

The control plane runs in this process, where time goes by as a test likes.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from running import Caller, Load, Mesh
from tulle.agent.idle import FILTER, IDLE_SECONDS, Idleness
from tulle.config import Settings
from tulle.control_plane.mesh import LiveMesh
from tulle.control_plane.running import running
from tulle.model.names import ServiceName
from tulle.pipeline import reaching
from tulle.pipeline.demands import STRANGER_SECONDS
from tulle.xds.resources import VHDS

B, C = (ServiceName("default", f"service-{x}") for x in "bc")


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor of a folder."""
    folder = os.open(path, os.O_PATH)
    try:
        yield folder
    finally:
        os.close(folder)


async def until(what: str, true: Callable[[], object], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110  what is waited for does not tell
            await asyncio.sleep(0.01)


def admin(mesh: Mesh, caller: Caller, target: str) -> str:
    """What its Envoy says to a GET at its admin socket."""
    connection = http.client.HTTPConnection("admin")
    with socket.socket(socket.AF_UNIX) as connected:
        with opened(mesh.data / "proxies" / caller.proxy) as folder:  # the whole path may be too long for a socket
            connected.connect(f"/proc/self/fd/{folder}/admin.sock")
        connection.sock = connected
        connection.request("GET", target)
        return connection.getresponse().read().decode()


def held(mesh: Mesh, caller: Caller) -> dict[str, list[str]]:
    """Names of the virtual hosts and clusters that its Envoy really has."""
    dump = json.loads(admin(mesh, caller, "/config_dump"))
    text = {config["@type"].rpartition(".")[2]: config for config in dump["configs"]}
    routes = [r["route_config"] for r in text["RoutesConfigDump"]["dynamic_route_configs"]]
    clusters = [c["cluster"]["name"] for c in text["ClustersConfigDump"].get("dynamic_active_clusters", ())]
    return {"hosts": [h["name"] for r in routes for h in r["virtual_hosts"]], "clusters": clusters}


async def evicted(live: LiveMesh, time: Time, caller: Caller) -> None:
    """Ten minutes later, once the sidecar has followed."""
    view = live.hub.views[caller.proxy][-1]
    time.now += STRANGER_SECONDS
    live.evict()
    await until("the sidecar has followed", lambda: view.ready)


@pytest.mark.soak
async def test_no_call_fails_while_its_service_is_taken_away_again_and_again(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaching, "KEPT_SERVICES", 0)
    time = Time()
    async with running(Settings(data=mesh.data), steady=time) as live:
        for service in ("service-b", "service-c"):
            await asyncio.to_thread(mesh.serve, service, service[-1])
        caller = await asyncio.to_thread(mesh.caller)
        loads = [Load(caller, f"http://{name}/data", 2, "GET") for name in ("service-b", "service-c")]
        for load in loads:
            await asyncio.to_thread(load.__enter__)
        view = live.hub.views[caller.proxy][-1]
        clusters = [name for s in (B, C) for name in view.holds(s)]
        assert clusters == [f"outbound|80||{s.host}" for s in (B, C)]
        strangers = 0
        try:
            for number in range(40):
                live.hub.idles(caller.proxy, clusters if number % 2 else clusters[:1])
                answers = await asyncio.gather(
                    *(asyncio.to_thread(caller.call, f"http://no-{number}-{n}.default.svc/") for n in range(4)),
                    evicted(live, time, caller),
                )
                strangers += sum(answer is not None and answer.status == 503 for answer in answers[:4])
                await asyncio.to_thread(loads[number % 2].more, 20)
        finally:
            for load in loads:
                await asyncio.to_thread(load.__exit__)
        print("calls", [load.calls for load in loads], [load.failed[:3] for load in loads])
        assert [load.failed for load in loads] == [[], []]
        assert strangers == 160


@pytest.mark.soak
async def test_envoy_holds_no_more_strangers_after_many_rounds_than_after_one(mesh: Mesh) -> None:
    time = Time()
    async with running(Settings(data=mesh.data), steady=time) as live:
        await asyncio.to_thread(mesh.serve, "service-b", "b")
        caller = await asyncio.to_thread(mesh.caller)
        view = live.hub.views[caller.proxy][-1]

        async def called(number: int) -> None:
            """Strangers of both kinds: one half has an answer of its own, the other is refused."""
            for stranger in [f"no-{number}-{n}.default.svc" for n in range(150)]:
                await asyncio.to_thread(caller.call, f"http://{stranger}/")
            for n in range(50):
                await asyncio.to_thread(caller.call, f"http://no.{'x' * 64}{number}-{n}.svc.cluster.local/")

        for number in range(4):
            await called(number)
            assert (await asyncio.to_thread(caller.call, "http://service-b/data")).status == 200
            strangers = [name for name in held(mesh, caller)["hosts"] if "/no-" in name]
            assert len(strangers) == 150
            await evicted(live, time, caller)
            assert view.strangers == 0
            assert not [name for name in held(mesh, caller)["hosts"] if "/no" in name]
            assert view.session.asked(VHDS) == 0
        assert (await asyncio.to_thread(caller.call, "http://service-b/data")).status == 200


async def test_a_call_that_is_under_way_outlives_its_service_s_eviction(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaching, "KEPT_SERVICES", 0)
    time = Time()
    async with running(Settings(data=mesh.data), steady=time) as live:
        await asyncio.to_thread(mesh.serve, "service-b", "b")
        caller = await asyncio.to_thread(mesh.caller)
        begun = mesh.folder / "begun"
        url = f"http://service-b/data?sleep=2&touch={begun}"
        slow = asyncio.create_task(asyncio.to_thread(caller.call, url), name="a slow call")
        await until("the call is under way", begun.exists)
        live.hub.idles(caller.proxy, [f"outbound|80||{B.host}"])
        await evicted(live, time, caller)
        assert f"outbound|80||{B.host}" not in held(mesh, caller)["clusters"]
        assert not slow.done()
        assert (await slow).status == 200
        assert (await asyncio.to_thread(caller.call, "http://service-b/data")).status == 200


def test_what_envoy_counts_tells_since_when_a_service_is_idle(mesh: Mesh) -> None:
    mesh.up()
    for service in ("service-b", "service-c"):
        mesh.serve(service, service[-1])
    caller, idleness = mesh.caller(), Idleness()

    def look(now: float) -> list[str]:
        lines = (line.rpartition(": ") for line in admin(mesh, caller, f"/stats?filter={quote(FILTER)}").splitlines())
        return idleness.look(1, {name: int(value) for name, _, value in lines}, now)

    for service in ("service-b", "service-c"):
        assert caller.call(f"http://{service}/data").status == 200
    assert look(0) == []
    assert caller.call("http://service-b/data").status == 200
    assert look(IDLE_SECONDS) == [f"outbound|80||{C.host}"]
    assert look(2 * IDLE_SECONDS) == [f"outbound|80||{s.host}" for s in (B, C)]


def test_a_host_that_nobody_knows_is_answered_with_the_nearest_service(mesh: Mesh) -> None:
    mesh.up()
    mesh.serve("service-b", "b")
    caller = mesh.caller()
    hint = "the mesh has no service servce-b.default; did you mean service-b?"
    unknown = caller.call("http://servce-b/").json()
    assert unknown["error"] == "neither the mesh nor DNS knows the host servce-b"
    assert unknown["hint"] == hint
    assert caller.call("http://servce-b.default.svc/").json()["error"] == hint
    assert "hint" not in caller.call("http://no-such-host.invalid/").json()
