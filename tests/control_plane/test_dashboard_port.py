"""Which port the dashboard is on, with real control planes, and that a taken one stops none."""

from __future__ import annotations

import http.client
import logging
import socket
from pathlib import Path

import pytest

from tulle.config import OFF, Settings
from tulle.control_plane.running import running


async def port_of(settings: Settings) -> int | None:
    """Where it answers; None if there is none."""
    async with running(settings):
        remembered = settings.data / "web-port"
        if not remembered.exists():
            return None
        port = int(remembered.read_text())
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=20):
                return port
        except ConnectionRefusedError:
            return None


async def test_it_is_remembered_and_can_be_chosen(tmp_path: Path) -> None:
    first = await port_of(Settings(tmp_path))
    assert first is not None and await port_of(Settings(tmp_path)) == first
    with socket.create_server(("127.0.0.1", 0)) as free:
        asked = free.getsockname()[1]
    assert await port_of(Settings(tmp_path, web_port=asked)) == asked
    assert await port_of(Settings(tmp_path)) == asked


async def test_with_off_there_is_none(tmp_path: Path) -> None:
    assert await port_of(Settings(tmp_path, web_port=OFF)) is None


async def test_a_remembered_port_that_is_taken_stops_no_control_plane(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = await port_of(Settings(tmp_path))
    assert first is not None
    with socket.create_server(("127.0.0.1", first)), caplog.at_level(logging.WARNING):
        async with running(Settings(tmp_path)):
            pass
    assert f"port {first} on 127.0.0.1, for the dashboard, is taken by another program" in caplog.text
    assert await port_of(Settings(tmp_path)) == first


async def test_a_taken_port_that_was_asked_for_does(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        asked = taken.getsockname()[1]
        with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="is taken by another"), flatten_subgroups=True):
            async with running(Settings(tmp_path, web_port=asked)):
                pass
    assert not (tmp_path / "web-port").exists()


async def test_it_answers_at_once_and_ends_with_the_control_plane(tmp_path: Path) -> None:
    async with running(Settings(tmp_path)):
        port = int((tmp_path / "web-port").read_text())
        asking = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        asking.connect()
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection("127.0.0.1", port, timeout=20).connect()
    asking.close()
