"""What a sidecar holds and nobody needs is taken away from it under load, and asked for again: no call fails.

The control plane runs in this process, where time goes by as a test likes.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from running import Caller, Load, Mesh
from tulle.config import Settings
from tulle.control_plane.mesh import LiveMesh
from tulle.control_plane.running import running
from tulle.model.names import ServiceName
from tulle.pipeline import view as views
from tulle.pipeline.demands import KEPT_STRANGERS, STRANGER_SECONDS
from tulle.translate import names

B, C = (ServiceName("default", f"service-{x}") for x in "bc")


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def until(what: str, true: Callable[[], object], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)


def held(mesh: Mesh, caller: Caller) -> dict[str, list[str]]:
    """Names of the virtual hosts and clusters that its Envoy really has."""
    connection = http.client.HTTPConnection("admin")
    with socket.socket(socket.AF_UNIX) as connected:
        connected.connect(str(mesh.data / "proxies" / caller.proxy / "admin.sock"))
        connection.sock = connected
        connection.request("GET", "/config_dump")
        dump = json.loads(connection.getresponse().read())
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


async def test_no_call_fails_while_its_service_is_taken_away_again_and_again(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "KEPT_SERVICES", 0)
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
