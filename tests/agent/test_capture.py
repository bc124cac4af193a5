"""How the program's calls are led into the mesh: its environment, and the shim for aiohttp."""

from __future__ import annotations

import ast
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tulle import agent
from tulle.agent.capture.environment import program_environment
from tulle.agent.config import AgentConfig
from tulle.agent.ports import Ports

CONFIG = AgentConfig("service-b", "/state", ("true",), "service-b", namespace="shop")
PORTS = Ports(10000, 10001, 10002, 10003, ExitStack())
SHIM = Path(next(iter(agent.__path__))) / "shim"


def environment(**inherited: str) -> tuple[dict[str, str], list[str]]:
    return program_environment(inherited, CONFIG, "service-b-000001", PORTS)


def test_every_proxy_variable_names_the_sidecar_and_loopback_is_spared() -> None:
    given, notes = environment(HOME="/home/user")
    assert {given[name] for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY")} == {
        "http://127.0.0.1:10000"
    }
    assert given["no_proxy"] == given["NO_PROXY"] == "localhost,127.0.0.1,::1"
    assert "grpc_proxy" not in given
    assert given["PORT"] == "10002"
    assert (given["TULLE_SERVICE"], given["TULLE_NAMESPACE"]) == ("service-b", "shop")
    assert given["TULLE_INSTANCE"] == "service-b-000001"
    assert given["HOME"] == "/home/user"
    assert notes == []


def test_a_proxy_of_the_users_own_is_replaced_and_that_is_said() -> None:
    given, notes = environment(HTTP_PROXY="http://me:s3cret@corporate:3128", https_proxy="http://corporate:3129")
    assert given["HTTP_PROXY"] == given["https_proxy"] == "http://127.0.0.1:10000"
    assert notes == ["the program gets the sidecar in place of your own proxy in HTTP_PROXY, https_proxy"]


def test_hosts_that_the_user_spares_are_spared_still() -> None:
    given, notes = environment(no_proxy="db.internal, localhost", NO_PROXY="10.0.0.1")
    assert given["no_proxy"] == given["NO_PROXY"] == "localhost,127.0.0.1,::1,db.internal,10.0.0.1"
    assert notes == []


def test_sparing_everything_would_leave_the_mesh() -> None:
    given, notes = environment(no_proxy="*")
    assert given["no_proxy"] == "localhost,127.0.0.1,::1"
    assert "no_proxy=*" in notes[0]


def test_the_shim_comes_first_on_the_programs_own_path() -> None:
    assert environment()[0]["PYTHONPATH"] == str(SHIM)
    assert environment()[0]["TULLE_SHIM"] == "proxy"
    assert environment(PYTHONPATH="/a:/b")[0]["PYTHONPATH"] == f"{SHIM}:/a:/b"


class Proxy(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"the proxy got {self.path}".encode())

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def proxy() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


CLIENT = """
import asyncio, sys, aiohttp

async def main():
    async with aiohttp.ClientSession({arguments}) as session, session.get("http://127.0.0.1:1/data") as response:
        print(await response.text())

asyncio.run(main())
"""


def run(code: str, path: str, **more: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "no_proxy": "", "NO_PROXY": "", "TULLE_SHIM": "proxy", "PYTHONPATH": path, **more}
    return subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, timeout=60, check=False
    )


def test_aiohttp_calls_through_the_proxy_with_no_change_in_the_program(proxy: int) -> None:
    done = run(CLIENT.format(arguments=""), str(SHIM), http_proxy=f"http://127.0.0.1:{proxy}")
    assert done.stdout.strip() == "the proxy got http://127.0.0.1:1/data", done.stderr


def test_aiohttp_leaves_the_proxy_out_if_the_program_says_so(proxy: int) -> None:
    done = run(CLIENT.format(arguments="trust_env=False"), str(SHIM), http_proxy=f"http://127.0.0.1:{proxy}")
    assert "ClientConnectorError" in done.stderr


def test_another_sitecustomize_is_run_as_well(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('the other one', __name__)")
    code = "import sitecustomize; print(sitecustomize.__file__)"
    done = run(code, f"{SHIM}:{tmp_path}")
    assert done.stdout.split("\n")[:2] == ["the other one sitecustomize", str(tmp_path / "sitecustomize.py")]


def test_a_sitecustomize_that_fails_does_so_as_without_us(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise RuntimeError('of their own')")
    alone, chained = (run("print('started')", path) for path in (str(tmp_path), f"{SHIM}:{tmp_path}"))
    assert alone.stdout == chained.stdout == "started\n"
    assert alone.stderr == chained.stderr
    assert "of their own" in chained.stderr


def test_a_strange_aiohttp_does_not_keep_the_program_from_starting(tmp_path: Path) -> None:
    (tmp_path / "aiohttp").mkdir()
    (tmp_path / "aiohttp" / "__init__.py").touch()
    (tmp_path / "aiohttp" / "client.py").write_text("ClientSession = 'nothing of the kind'")
    quiet, told = (
        run("import aiohttp.client; print('started')", f"{SHIM}:{tmp_path}", **more)
        for more in ({}, {"TULLE_DEBUG": "1"})
    )
    assert (quiet.stdout, quiet.stderr, told.stdout) == ("started\n", "", "started\n")
    assert "__kwdefaults__" in told.stderr


def test_the_shim_is_written_for_any_interpreter_that_a_program_may_have() -> None:
    ast.parse((SHIM / "sitecustomize.py").read_text(), feature_version=(3, 8))


def test_in_other_modes_aiohttp_is_left_as_it_is(proxy: int) -> None:
    called = CLIENT.format(arguments="")
    done = run(called, str(SHIM), http_proxy=f"http://127.0.0.1:{proxy}", TULLE_SHIM="trace")
    assert "ClientConnectorError" in done.stderr


def test_a_program_without_aiohttp_pays_nothing() -> None:
    done = run("import sys; print([name for name in sys.modules if 'aiohttp' in name])", str(SHIM))
    assert done.stdout == "[]\n"
