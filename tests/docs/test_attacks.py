"""The page on attacks and the tests say the same: what it names exists, and no test of an attack is left out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "reference" / "attacks.md").read_text()
PREVENTED, _, REST = TEXT.partition("\n## What is not prevented\n")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PREVENTED)
# Whose only matter are attacks.
WHOLE = [
    "tests/e2e/test_attacks.py",
    "tests/e2e/test_vouching.py",
    "tests/translate/access/test_bypasses.py",
    "tests/translate/test_handshakes.py",
]
NO_ATTACK = {"test_the_right_ones_are_taken"}


def _tests_in(file: str) -> set[str]:
    found = ast.parse((ROOT / file).read_text()).body
    functions = (each for each in found if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
    return {each.name for each in functions if each.name.startswith("test_")}


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_every_test_that_is_named_exists(file: str) -> None:
    assert (ROOT / file).exists()
    assert {name for named, name in NAMED if named == file} <= _tests_in(file)


@pytest.mark.parametrize("file", WHOLE)
def test_every_test_of_an_attack_is_named(file: str) -> None:
    assert _tests_in(file) - NO_ATTACK == {name for named, name in NAMED if named == file}


def test_every_row_says_which_test_shows_it_or_that_it_is_not_prevented() -> None:
    rows = re.findall(r"^\| (?!---|attack )(.*) \|$", PREVENTED, re.M)
    assert len(rows) > 50
    for row in rows:
        *_, attack, happens, tests = row.split(" | ")
        assert attack and happens and re.search(r"`tests/", tests), row
    assert all(len(row.split(" | ")) == 2 for row in re.findall(r"^\| (.*) \|$", REST, re.M))
