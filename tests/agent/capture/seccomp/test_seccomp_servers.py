"""Servers of several processes, as people run them, on a port that somebody else has."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Ground = Any
_APP = """
def wsgi(environment, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

async def asgi(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
"""
_UVICORN = ("uvicorn", "--workers", "2", "--lifespan", "off", "--app-dir")


@pytest.fixture
def strangers_port() -> Iterator[int]:
    """A port on which another program listens, which would share it."""
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as server:
        yield int(server.getsockname()[1])


@pytest.mark.parametrize(
    ("command", "bind"),
    [
        pytest.param(("gunicorn", "-w", "2", "--chdir"), ("-b", "0.0.0.0:{}", "app:wsgi"), id="gunicorn"),
        pytest.param(
            ("gunicorn", "-w", "2", "--reuse-port", "--chdir"), ("-b", "0.0.0.0:{}", "app:wsgi"), id="gunicorn-reuse"
        ),
        pytest.param(
            ("gunicorn", "-w", "2", "--chdir"),
            ("-b", "[::]:{}", "app:wsgi"),
            id="gunicorn-6",
            marks=pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here"),
        ),
        pytest.param(_UVICORN, ("--host", "0.0.0.0", "--port", "{}", "app:asgi"), id="uvicorn"),
    ],
)
def test_a_server_with_workers_answers_where_its_port_was_moved_to(
    ground: Ground,
    strangers_port: int,
    until: Callable[..., Any],
    tmp_path: Path,
    command: tuple[str, ...],
    bind: tuple[str, ...],
) -> None:
    (tmp_path / "app.py").write_text(_APP)
    words = [word.format(strangers_port) for word in bind]
    with ground.start(sys.executable, "-m", *command, str(tmp_path), *words) as captured:
        _, asked, real = captured.hear("moved").split()
        assert int(asked) == strangers_port != int(real)
        assert until(lambda: answer(int(real))).startswith(b"HTTP/1.1 200")
        assert len([line for line in captured.lines if line.startswith("moved")]) == 1


def answer(port: int) -> bytes:
    """Of an HTTP server on loopback; nothing if none is there."""
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return connection.recv(4096)
    except OSError:
        return b""
