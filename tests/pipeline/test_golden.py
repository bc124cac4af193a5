"""Every golden case, stage by stage, and what must hold of all of them."""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path

import pytest

from golden import CASES, Case, envoy_yaml, ir_yaml

STAGES = ("ir.yaml", "envoy.yaml")
FOLDERS = sorted(p for p in CASES.iterdir() if p.is_dir())
cases = pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)


@cases
def test_each_stage_is_as_written(folder: Path, request: pytest.FixtureRequest) -> None:
    case = Case(folder)
    made = {"ir.yaml": ir_yaml(case.ir()), "envoy.yaml": envoy_yaml(case.resources())}
    if request.config.getoption("--update-golden"):
        for orphan in {p.name for p in folder.iterdir()} - {"mesh.yaml", *STAGES}:
            path = folder / orphan
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for stage, text in made.items():
            (folder / stage).write_text(text)
    for stage in STAGES:
        assert made[stage] == (folder / stage).read_text(), (
            f"{folder.name}/{stage} (pytest --update-golden writes it anew)"
        )


@cases
def test_names_that_are_referred_to_are_defined(folder: Path) -> None:
    resources = Case(folder).resources()
    defined = {(r.type_url, r.name) for r in resources}
    for resource in resources:
        assert set(resource.requires) <= defined, resource.name
        text = repr(resource.body)
        for cluster in re.findall(r"(?:outbound|inbound)\|[0-9]+\|[^'\\\"]*", text):
            assert any(name == cluster.rstrip(")") or cluster.startswith(name) for _, name in defined), cluster


@cases
def test_the_order_of_facts_does_not_matter(folder: Path) -> None:
    case = Case(folder)
    shuffled = random.Random(7).sample(case.proxies, len(case.proxies))
    assert [r.body for r in case.resources(shuffled)] == [r.body for r in case.resources()]


@cases
def test_no_output_holds_a_secret(folder: Path) -> None:
    for resource in Case(folder).resources():
        assert b"PRIVATE KEY" not in resource.body
        assert b"inline_string" not in resource.body
