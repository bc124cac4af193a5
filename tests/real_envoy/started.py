"""An Envoy with a bootstrap of a test's own, as a process."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from tulle.envoy_api import binary

# Envoy dies with the test process, however that ends.
_LAUNCH = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"
_SECONDS = 60.0  # until it is ready; a machine under load takes long for hundreds of listeners


@contextmanager
def started(
    folder: Path, config: dict[str, Any], *options: str, level: str = "warning", concurrency: int = 1
) -> Iterator[dict[str, int]]:
    """The ports of its listeners, by name, once it has them all. Its admin is `admin.sock` in the folder."""
    command = _command(folder, config, level, concurrency)
    with (folder / "envoy.log").open("wb") as log:
        process = subprocess.Popen([*command, *options], cwd=folder, stdout=log, stderr=log)
    try:
        yield _ports(folder, process, len(config["static_resources"]["listeners"]))
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def launched(folder: Path, config: dict[str, Any]) -> AsyncIterator[asyncio.subprocess.Process]:
    """At once, whether it is ready or not."""
    command = _command(folder, config, "warning", 1)
    with (folder / "envoy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


def admin(folder: Path, path: str) -> httpx.Response:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(folder / "admin.sock")), timeout=5) as client:
        return client.get(f"http://admin{path}")


def _command(folder: Path, config: dict[str, Any], level: str, concurrency: int) -> list[str]:
    (folder / "bootstrap.json").write_text(json.dumps(config))
    options = ["-c", "bootstrap.json", "--concurrency", str(concurrency), "--disable-hot-restart", "-l", level]
    return [sys.executable, "-c", _LAUNCH, str(binary.find().path), *options]


def _ports(folder: Path, process: subprocess.Popen[bytes], number: int) -> dict[str, int]:
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end and process.poll() is None:
        with suppress(httpx.TransportError, KeyError):
            if admin(folder, "/ready").status_code == 200:
                found = admin(folder, "/listeners?format=json").json()["listener_statuses"]
                if len(found) == number:
                    return {one["name"]: int(one["local_address"]["socket_address"]["port_value"]) for one in found}
        time.sleep(0.05)
    raise AssertionError((folder / "envoy.log").read_text()[-3000:])
