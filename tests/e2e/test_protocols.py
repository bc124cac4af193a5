"""What is carried: streams as they come, websockets, programs that speak HTTP/2, and clients of every usual kind."""

from __future__ import annotations

import http.client
import struct
import sys
from collections.abc import Iterator

import aiohttp
import pytest

from running import Mesh, wait_for


def test_a_program_that_speaks_only_http2_is_reached(mesh: Mesh) -> None:
    mesh.up()
    mesh.run("echo", "grpc_echo.py", options=("--port", "80:18291/grpc"))
    wait_for("it is healthy", lambda: mesh.healthy("echo") == 1)
    message = b"hello"
    framed = struct.pack(">BI", 0, len(message)) + message
    headers = {"content-type": "application/grpc", "te": "trailers"}
    answer = mesh.caller().call("http://echo/any.Service/Method", "POST", framed, headers)
    assert (answer.status, answer.body) == (200, framed)


def test_a_response_is_passed_on_part_by_part(mesh: Mesh) -> None:
    mesh.up()
    go_on = mesh.folder / "next"
    mesh.run("streams", "streams.py", str(go_on))
    wait_for("it is healthy", lambda: mesh.healthy("streams") == 1)
    connection = http.client.HTTPConnection("127.0.0.1", mesh.caller().port, timeout=30)
    connection.request("GET", "http://streams/slow")
    answer = connection.getresponse()
    for part in range(3):
        assert answer.readline() == b"part %d\n" % part
        go_on.touch()
    connection.close()


async def test_a_websocket_is_carried_both_ways(mesh: Mesh) -> None:
    mesh.up()
    mesh.run("streams", "streams.py", str(mesh.folder / "next"))
    wait_for("it is healthy", lambda: mesh.healthy("streams") == 1)
    proxy = f"http://127.0.0.1:{mesh.caller().port}"
    async with aiohttp.ClientSession() as session, session.ws_connect("http://streams/ws", proxy=proxy) as socket:
        for text in ("one", "two"):
            await socket.send_str(text)
            assert await socket.receive_str(timeout=30) == f"echo {text}"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with Mesh(tmp_path_factory.mktemp("shared")) as mesh:
        mesh.up()
        mesh.serve("service-b", "b1")
        yield mesh


CLIENTS = {
    "requests": "import requests; print(requests.get(url, timeout=30).json()['instance'])",
    "urllib": "import json, urllib.request; print(json.load(urllib.request.urlopen(url, timeout=30))['instance'])",
    "httpx": "import httpx; print(httpx.get(url, timeout=30).json()['instance'])",
    "httpx async": (
        "import asyncio, httpx\n"
        "async def main():\n    async with httpx.AsyncClient() as c:\n        print((await c.get(url)).json()['instance'])\n"
        "asyncio.run(main())"
    ),
    "aiohttp": (
        "import asyncio, aiohttp\n"
        "async def main():\n    async with aiohttp.ClientSession() as c, c.get(url) as r:\n"
        "        print((await r.json())['instance'])\n"
        "asyncio.run(main())"
    ),
    "curl": "import subprocess; subprocess.run(['curl', '-fsS', url], check=True)",
}  # fmt: skip


@pytest.mark.parametrize("client", CLIENTS)
def test_an_unmodified_client_is_captured(shared: Mesh, client: str) -> None:
    program = f"url = 'http://service-b/data'\n{CLIENTS[client]}"
    running = shared.run("service-a", sys.executable, "-c", program)
    assert running.wait() == 0, running.output
    said = [line for line in running.output.splitlines() if not line.startswith("tulle |")]
    assert "b1" in said[-1]
