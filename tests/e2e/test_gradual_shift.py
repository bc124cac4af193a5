"""`tulle shift --over`: a new version gets more and more calls as long as it does well."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from declaring import apply, to, versions, virtual_service
from running import Caller, Mesh, Running, wait_for

URL = "http://service-b/data"
BEFORE = [("v1", 100)]


@pytest.fixture(scope="module")
def sick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """While this file is there, the new version fails."""
    return tmp_path_factory.mktemp("sick") / "sick"


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory, sick: Path) -> Iterator[Mesh]:
    with Mesh(tmp_path_factory.mktemp("gradual")) as running:
        running.up()
        running.serve("service-b", "b1", options=("--version", "v1"))
        running.serve("service-b", "b2", options=("--version", "v2"), SICK_ALL=str(sick))
        yield running


@pytest.fixture(scope="module")
def caller(mesh: Mesh) -> Caller:
    return mesh.caller()


@pytest.fixture(autouse=True)
def _all_to_the_old_one(mesh: Mesh, caller: Caller) -> None:
    apply(mesh, versions("service-b", "v1", "v2"))
    apply(mesh, virtual_service("service-b", {"route": [to("service-b", "v1", 100)]}))
    wait_for("the old one answers", lambda: caller.call(URL).json()["instance"] == "b1")


def weights(mesh: Mesh) -> list[tuple[str, int]]:
    spec = mesh.json("get", "vs", "service-b")["spec"]
    return [(one["destination"]["subset"], one["weight"]) for one in spec["http"][0]["route"]]


def said(running: Running) -> list[dict[str, Any]]:
    return [json.loads(line) for line in running.output.splitlines() if line.startswith("{")]


@contextmanager
def shifting(mesh: Mesh, *options: str) -> Iterator[Running]:
    words = ("shift", "service-b", "--to", "v2=100", *options, "-o", "json")
    running = mesh.start("shift", *words)
    try:
        yield running
    finally:
        running.kill()


def test_a_version_that_does_well_gets_all_calls(mesh: Mesh, caller: Caller) -> None:
    # Durations on a busy machine are not what is tested.
    options = ("--over", "20s", "--step", "50", "--max-latency", "1000x")
    with caller.load(URL, threads=2), shifting(mesh, *options) as running:
        assert running.wait(60) == 0, running.output
    lines = said(running)
    assert [line["event"] for line in lines if line["event"] != "waiting"] == ["step", "judged"] * 2 + ["done"]
    assert [line["weights"] for line in lines if line["event"] == "step"] == [
        {"v2": 50, "v1": 50},
        {"v2": 100, "v1": 0},
    ]
    judged = [line for line in lines if line["event"] == "judged"]
    assert all(line["new"]["requests"] >= 20 and line["old"]["requests"] >= 20 for line in judged)
    assert weights(mesh) == [("v2", 100)]


def test_a_version_that_fails_loses_its_calls_before_the_step_is_over(mesh: Mesh, caller: Caller, sick: Path) -> None:
    sick.touch()
    try:
        with caller.load(URL, threads=2), shifting(mesh, "--over", "10m") as running:
            assert running.wait(60) == 1, running.output
    finally:
        sick.unlink()
    lines = said(running)
    assert [line["event"] for line in lines] == ["step", "back"]
    assert "v2: 100.00% of its requests failed" in lines[-1]["why"]
    assert weights(mesh) == BEFORE


def test_ctrl_c_brings_the_weights_from_before_back(mesh: Mesh) -> None:
    with shifting(mesh, "--over", "10m") as running:
        wait_for("the first step is in force", lambda: said(running))
        assert ("v2", 10) in weights(mesh)
        running.signal(signal.SIGINT)
        assert running.wait(60) == 1
    assert (said(running)[-1]["event"], said(running)[-1]["why"]) == ("back", "interrupted")
    assert weights(mesh) == BEFORE


def test_what_somebody_else_writes_meanwhile_is_left_alone(mesh: Mesh) -> None:
    with shifting(mesh, "--over", "10m") as running:
        wait_for("the first step is in force", lambda: said(running))
        theirs = [to("service-b", "v1", 70), to("service-b", "v2", 30)]
        apply(mesh, virtual_service("service-b", {"route": theirs}))
        assert running.wait(60) == 1
    assert said(running)[-1]["event"] == "left" and "changed by somebody else" in said(running)[-1]["why"]
    assert weights(mesh) == [("v1", 70), ("v2", 30)]
