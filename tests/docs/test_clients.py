"""What the troubleshooting guide says of clients is what they do in a real mesh."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from running import Mesh, wait_for

HERE = Path(__file__).parent
GUIDE = (HERE.parents[1] / "docs" / "guides" / "troubleshooting.md").read_text()
CLIENTS = dict(re.findall(r"^\| (.+?) \| (yes|no|not tested here) \|", GUIDE, re.M))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    mesh = Mesh(tmp_path_factory.mktemp("clients"))
    try:
        mesh.up()
        mesh.serve("service-b", "b1")
        mesh.run("echo", "grpc_echo.py", options=("--port", "grpc-api:50051"))
        wait_for("the gRPC server is there", lambda: mesh.healthy("echo"))
        running = mesh.run("service-a", sys.executable, str(HERE / "clients.py"))
        assert running.wait(120) == 0, running.output
        yield json.loads(next(line for line in running.output.splitlines() if line.startswith("{")))
    finally:
        mesh.close()


def test_a_client_reaches_the_mesh_exactly_if_the_guide_says_so(outcomes: dict[str, Any]) -> None:
    tried = outcomes["clients"]
    assert len(tried) >= 10
    for client, outcome in tried.items():
        assert (outcome == "b1") == (CLIENTS[client] == "yes"), f"{client}: {outcome}"


def test_what_the_guide_says_of_a_client_is_tried_or_said_not_to_be(outcomes: dict[str, Any]) -> None:
    program = (HERE / "clients.py").read_text()
    for client, told in CLIENTS.items():
        assert (f'"{client}": ' in program) == (told != "not tested here"), client


def test_calls_in_tls_or_without_a_proper_host_fail_as_the_guide_says(outcomes: dict[str, Any]) -> None:
    assert outcomes["https"].startswith("SSLError"), outcomes["https"]
    assert outcomes["underscore"] == "Bad Request"
