"""Real clients against real servers in one mesh, in each mode of capture: what comes of it is what the docs' table says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import capture_table
from capture_table import PAGE, UNTRIED, Outcomes, unexplained
from machine import denies, excused
from matrix_mesh import MODES, NOT_POSSIBLE, matrix_mesh
from running import Running


def test_every_client_gets_as_far_in_each_mode_as_the_table_says(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with matrix_mesh(tmp_path) as mesh:
        callers = {mode: mesh.call_everything(mode) for mode in MODES}
        codes = {mode: running.wait(400) for mode, running in callers.items()}
    impossible = {mode: _reason(running) for mode, running in callers.items() if NOT_POSSIBLE in running.output}
    outcomes = {mode: _outcomes(running) for mode, running in callers.items() if mode not in impossible}
    assert all(codes[mode] == 0 for mode in outcomes), "\n".join(running.output for running in callers.values())
    if request.config.getoption("--update-capture-table"):
        PAGE.write_text(capture_table.updated(PAGE.read_text(), outcomes))
    found = [*capture_table.differences(capture_table.written(PAGE.read_text()), outcomes), *unexplained(outcomes)]
    assert not found, "\n".join(found)
    # A mode whose canary failed says so too: that is no excuse where the machine allows it.
    for mode, reason in sorted(impossible.items(), key=lambda each: bool(denies(each[0]))):
        excused(mode, reason)


def test_the_table_is_whole_and_tells_why_something_is_not_captured() -> None:
    page = PAGE.read_text()
    cells = capture_table.written(page)
    assert len(cells) > 200
    assert set(cells.values()) == {"yes", "no", "–"}, f"there is something that was {UNTRIED}"
    without = [line for line in page.splitlines() if line.startswith("| ") and " no |" in line]
    assert not without, "tests/capture/capture_notes.py does not say why"


def _outcomes(running: Running) -> Outcomes:
    """Of what the programs of clients/ have printed; whatever they said beside is in the output."""
    outcomes: Outcomes = {}
    section = ""
    for line in running.output.splitlines():
        if not line.startswith("{"):
            continue
        [(name, value)] = json.loads(line).items()
        if name == "section":
            section = value
            outcomes[section] = {}
        else:
            outcomes[section][name] = value
    assert all(outcomes.values()), running.output
    return outcomes


def _reason(running: Running) -> str:
    return running.output.partition(NOT_POSSIBLE)[2].splitlines()[0]
