"""Which port sidecars find the control plane on, with real control planes."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tulle.config import Settings
from tulle.control_plane.running import running
from tulle.xds.server import PortUnavailable


async def fails(settings: Settings) -> None:
    with pytest.RaisesGroup(PortUnavailable, flatten_subgroups=True):
        async with running(settings):
            pass


async def port_of(settings: Settings) -> int:
    """Where it listens."""
    async with running(settings):
        port = int((settings.data / "xds-port").read_text())
        with socket.create_connection(("127.0.0.1", port), timeout=20):
            return port


async def test_a_start_on_a_taken_port_leaves_the_remembered_one_as_it_is(tmp_path: Path) -> None:
    first = await port_of(Settings(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        await fails(Settings(tmp_path, xds_port=taken.getsockname()[1]))
        assert await port_of(Settings(tmp_path)) == first


async def test_a_first_start_on_a_taken_port_leaves_nothing_to_remember(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        await fails(Settings(tmp_path, xds_port=taken.getsockname()[1]))
    assert not (tmp_path / "xds-port").exists()


async def test_a_port_that_was_asked_for_is_the_one_from_then_on(tmp_path: Path) -> None:
    await port_of(Settings(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as free:
        asked = free.getsockname()[1]
    assert await port_of(Settings(tmp_path, xds_port=asked)) == asked
    assert await port_of(Settings(tmp_path)) == asked
