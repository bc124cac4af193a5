"""What the troubleshooting guide says of calls that fail is what comes of them. What each client reaches: tests/capture."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import Mesh

PROGRAM = Path(__file__).with_name("clients.py")


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with Mesh(tmp_path_factory.mktemp("clients")) as running:
        running.up()
        running.serve("service-b", "b1")
        yield running


def outcomes(mesh: Mesh, mode: str) -> dict[str, str]:
    running = mesh.run("service-a", sys.executable, str(PROGRAM), options=("--capture", mode))
    assert running.wait(120) == 0, running.output
    found: dict[str, str] = json.loads(next(line for line in running.output.splitlines() if line.startswith("{")))
    return found


def test_a_call_in_tls_to_a_port_of_http_fails(mesh: Mesh) -> None:
    for mode in ("auto", "proxy"):
        tried = outcomes(mesh, mode)["https"]
        assert tried.startswith(("SSLError", "ConnectionError")), f"{mode}: {tried}"


def test_an_underscore_in_a_host_is_refused_by_the_proxy(mesh: Mesh) -> None:
    assert outcomes(mesh, "proxy")["underscore"] == "Bad Request"
