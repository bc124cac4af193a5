"""Programs with the shim, as `tulle run --trace` gives it to them, and a server that tells which headers it got."""

from __future__ import annotations

import http.client
import http.server
import importlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tulle import agent

SHIM = Path(next(iter(agent.__path__))) / "shim"
PROGRAMS = Path(__file__).parent / "programs"


def environment(**more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**inherited, "TULLE_SHIM": "trace", "TULLE_DEBUG": "1", "PYTHONPATH": f"{SHIM}:{PROGRAMS}", **more}


class _Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="session")
def echo() -> Iterator[str]:
    """The URL of a server that answers with the headers that it got."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


class Relay:
    """A program that serves by one kind of server, and calls `echo` with the client that is asked for."""

    def __init__(self, port: int, echo: str, log: Path) -> None:
        self.port, self._echo, self._log = port, echo, log

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def call(
        self,
        client: str = "urllib",
        connection: http.client.HTTPConnection | None = None,
        path: str = "/",
        **headers: str,
    ) -> dict[str, str]:
        """The headers with which the call was made."""
        used = connection or self.connection()
        used.request(
            "GET",
            f"{path}?client={client}&url={quote(self._echo)}",
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        answer = used.getresponse()
        body = answer.read()
        assert answer.status == 200, (body, self._log.read_text())
        if connection is None:
            used.close()
        got: dict[str, str] = json.loads(body)
        return got


@pytest.fixture
def serving(echo: str, tmp_path: Path) -> Iterator[Callable[[str], Relay]]:
    started: list[subprocess.Popen[bytes]] = []

    def serve(server: str, **more: str) -> Relay:
        if server.startswith("hypercorn"):  # the others are locked: one that is missing is a failure
            pytest.importorskip("hypercorn")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        log = tmp_path / f"{server}.log"
        with log.open("wb") as out:
            started.append(
                subprocess.Popen(
                    [sys.executable, str(PROGRAMS / "relay.py"), server, str(port)],
                    env=environment(**more),
                    stdout=out,
                    stderr=out,
                )
            )
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return Relay(port, echo, log)
            except OSError:
                assert started[-1].poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.02)

    yield serve
    for process in started:
        process.terminate()
        process.wait(30)


@pytest.fixture
def run() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a program, or code, to its end, which must be good and without an error in the shim."""

    def run_to_end(program: str, python: str = sys.executable, **more: str) -> subprocess.CompletedProcess[str]:
        what = [str(PROGRAMS / program)] if program.endswith(".py") else ["-c", program]
        done = subprocess.run(
            [python, *what], env=environment(**more), capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "_tulle_shim" not in done.stderr, done.stderr
        return done

    return run_to_end


@pytest.fixture
def shim(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """A module of the shim, in this process."""
    monkeypatch.syspath_prepend(str(SHIM))
    return lambda name: importlib.import_module(f"_tulle_shim.{name}")
