"""What the service manager is told, over a real socket of each kind that systemd uses."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tulle.agent.service_manager import ServiceManager, service_manager


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """systemd's end, and how $NOTIFY_SOCKET names it."""
    name = f"{tmp_path}/notify" if request.param == "path" else f"@tulle-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0", 1) if name[0] == "@" else name)
        listener.settimeout(10)
        yield listener, name


def test_the_life_of_a_service_is_told_in_order(manager: tuple[socket.socket, str]) -> None:
    listener, name = manager
    systemd = service_manager({"NOTIFY_SOCKET": name})
    systemd.status("waiting for\nthe control plane")
    systemd.ready()
    systemd.stopping()
    assert [listener.recv(4096) for _ in range(3)] == [
        b"STATUS=waiting for; the control plane",
        b"READY=1",
        b"STOPPING=1",
    ]
    systemd.close()


async def test_the_heart_beats_as_often_as_it_is_asked_to(manager: tuple[socket.socket, str]) -> None:
    listener, name = manager
    listener.setblocking(False)
    systemd = service_manager({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": str(os.getpid())})
    async with asyncio.TaskGroup() as group:
        beating = group.create_task(systemd.heartbeat())
        for _ in range(3):
            assert await asyncio.get_running_loop().sock_recv(listener, 4096) == b"WATCHDOG=1"
        beating.cancel()
    systemd.close()


@pytest.mark.parametrize(
    "watchdog", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"}]
)
async def test_nobody_else_is_answered_with_a_heartbeat(watchdog: dict[str, str]) -> None:
    await asyncio.wait_for(service_manager({"NOTIFY_SOCKET": "/nowhere", **watchdog}).heartbeat(), 10)


def test_the_variables_do_not_reach_the_program() -> None:
    environment = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "HOME": "/root"}
    service_manager(environment)
    assert environment == {"HOME": "/root"}


@pytest.mark.parametrize("address", ["", "/nobody/listens/here", "@nobody-listens-here", "vsock:2:1234"])
async def test_without_a_manager_that_hears_nothing_happens(address: str) -> None:
    for systemd in (service_manager({"NOTIFY_SOCKET": address}), ServiceManager()):
        systemd.ready()
        systemd.status("all is well")
        systemd.stopping()
        await asyncio.wait_for(systemd.heartbeat(), 10)
        systemd.close()
