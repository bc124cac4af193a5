"""A new Envoy in place of the old one, as far as the agent alone is concerned. The rest is in tests/e2e/test_hot_restart.py."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

Until = Callable[..., Awaitable[Any]]
StartAgent = Callable[..., Any]


def envoys(folder: Path) -> dict[int, int]:
    """The Envoys of an agent's folder: {epoch: process id}."""
    found = {}
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and (process / "cwd").readlink() == folder:
                words = (process / "cmdline").read_bytes().split(b"\0")
                found[int(words[words.index(b"--restart-epoch") + 1])] = int(process.name)
        except (OSError, ValueError):
            continue
    return found


def answers(port: int) -> bytes:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n")
            return client.recv(65536)
    except OSError:
        return b""


@pytest.mark.parametrize("how", ["ended", "was killed"])
async def test_the_new_one_works_on_when_the_old_one_is_gone(
    control_plane: Any, start_agent: StartAgent, server: str, until: Until, how: str
) -> None:
    """It still believes in the old one: it asks it for the sockets of new listeners, and tells it to end at last."""
    before = "from tulle.agent import hot_restart; hot_restart._FALLBACK_SECONDS = 2"
    agent = start_agent(sys.executable, server, before=before, drain_seconds=3.0)
    await until(lambda: "healthy" in control_plane.healths)
    folder, outbound = control_plane.folder(), control_plane.proxies[0]["outbound_port"]
    with socket.create_connection(("127.0.0.1", outbound)) as caller:  # for which the old one stays
        caller.sendall(b"GET / HTTP/1.1\r\nHost: any\r\n\r\n")
        assert caller.recv(1)
        assert await control_plane.restart() == ""
        old, new = (envoys(folder)[epoch] for epoch in (0, 1))
        if how == "was killed":
            os.kill(old, signal.SIGKILL)
        await until(lambda: envoys(folder) == {1: new})
    with socket.create_server(("127.0.0.1", 0)) as free:
        spare = free.getsockname()[1]
    control_plane.add_listener("one more", spare)
    await until(lambda: b"one more" in answers(spare))
    assert await control_plane.restart() == ""
    await until(lambda: b"one more" in answers(spare))
    assert set(envoys(folder)) <= {1, 2}
    assert "again" not in agent.text


async def test_the_new_one_outlives_what_it_tells_the_old_one_at_last(
    control_plane: Any, start_agent: StartAgent, server: str, until: Until
) -> None:
    before = "from tulle.agent import hot_restart; hot_restart._FALLBACK_SECONDS = 1"
    agent = start_agent(sys.executable, server, before=before, drain_seconds=0.5)
    await until(lambda: "healthy" in control_plane.healths)
    assert await control_plane.restart() == ""
    await asyncio.sleep(3)  # it tells it after two, which nothing shows, unless it would then wait and crash
    assert await control_plane.restart() == ""
    assert set(envoys(control_plane.folder())) <= {1, 2}
    assert "again" not in agent.text


async def test_an_old_one_that_goes_on_still_says_how_many_calls_are_in_flight(
    control_plane: Any, start_agent: StartAgent, server: str, until: Until
) -> None:
    """Its admin socket is closed for good by a new one that comes so far, and no further."""
    agent = start_agent(sys.executable, server)
    await until(lambda: "healthy" in control_plane.healths)
    folder, inbound = control_plane.folder(), control_plane.proxies[0]["inbound_port"]
    bootstrap = json.loads((folder / "bootstrap.json").read_text())
    bootstrap["dynamic_resources"]["lds_config"] = NEVER_ANSWERED
    (folder / "bootstrap.json").write_text(json.dumps(bootstrap))
    assert "takes no calls after 2 s\nthe old Envoy goes on" in await control_plane.restart(within=2.0)
    calls = [asyncio.create_task(asyncio.to_thread(slow_call, inbound), name="call") for _ in range(3)]
    await agent.says("the program was called")
    agent.send(signal.SIGTERM)
    assert all(b"from the program" in answer for answer in await asyncio.gather(*calls))
    assert await agent.exit_code() == 143


async def test_one_that_is_started_again_after_a_crash_is_not_replaced_before_it_takes_calls(
    control_plane: Any, start_agent: StartAgent, server: str, until: Until
) -> None:
    agent = start_agent(sys.executable, server)
    await until(lambda: "healthy" in control_plane.healths)
    folder = control_plane.folder()
    bootstrap = json.loads((folder / "bootstrap.json").read_text())
    (folder / "bootstrap.json").write_text(
        json.dumps({**bootstrap, "dynamic_resources": {**bootstrap["dynamic_resources"], "lds_config": NEVER_ANSWERED}})
    )
    crashed = envoys(folder)[0]
    os.kill(crashed, signal.SIGKILL)
    await until(lambda: envoys(folder).get(0, crashed) != crashed)
    started = envoys(folder)
    assert await control_plane.restart(within=2.0) == "its Envoy is only just starting"
    assert envoys(folder) == started
    (folder / "bootstrap.json").write_text(json.dumps(bootstrap))
    os.kill(started[0], signal.SIGKILL)
    await until(lambda: control_plane.healths[-1] == "healthy")
    assert await control_plane.restart() == ""
    agent.send(signal.SIGTERM)
    assert await agent.exit_code() == 143


NEVER_ANSWERED = {
    "resource_api_version": "V3",
    "initial_fetch_timeout": "0s",
    "api_config_source": {
        "api_type": "GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"google_grpc": {"target_uri": "127.0.0.1:1", "stat_prefix": "nobody"}}],
    },
}


def slow_call(port: int) -> bytes:
    context = ssl._create_unverified_context()
    with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: client.recv(65536), b""))


async def test_without_shared_memory_envoy_runs_and_a_restart_is_refused(
    control_plane: Any, start_agent: StartAgent, server: str, until: Until
) -> None:
    before = "import pathlib; from tulle.agent import hot_restart; hot_restart._SHARED_MEMORY = pathlib.Path('/none')"
    agent = start_agent(sys.executable, server, before=before)
    await until(lambda: "healthy" in control_plane.healths)
    assert "no /dev/shm to write to" in await control_plane.restart()
    assert "Envoy is not restarted: this machine has no /dev/shm" in agent.text
    agent.send(signal.SIGTERM)
    assert await agent.exit_code() == 143
