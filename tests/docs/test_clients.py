"""What the troubleshooting guide says of clients is what they do in a real mesh."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from running import Mesh

HERE = Path(__file__).parent
GUIDE = (HERE.parents[1] / "docs" / "guides" / "troubleshooting.md").read_text()
CLIENTS = dict(re.findall(r"^\| (.+?) \| (yes|no|not tested here) \|", GUIDE, re.M))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    mesh = Mesh(tmp_path_factory.mktemp("clients"))
    try:
        mesh.up()
        mesh.serve("service-b", "b1")
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


def test_calls_that_open_a_tunnel_or_name_no_host_fail_as_the_guide_says(outcomes: dict[str, Any]) -> None:
    assert "501" in outcomes["clients"]["grpc"]
    assert outcomes["https"].startswith("ProxyError") and "501" in outcomes["https"]
    assert outcomes["underscore"] == "Bad Request"
