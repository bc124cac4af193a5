"""The page of metrics and the code say the same."""

from __future__ import annotations

import re
from pathlib import Path

from tulle.agent.figures.families import BOUNDS, FAMILIES
from tulle.agent.figures.labels import HTTP_LABELS, TCP_LABELS
from tulle.agent.figures.own import LABELS, OWN

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "metrics.md").read_text()


def section(heading: str) -> str:
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    assert found
    return found[1]


def rows(heading: str) -> list[list[str]]:
    lines = re.findall(r"^\| (.*) \|$(?!\n\| ---)", section(heading), re.M)
    return [[cell.strip() for cell in line.split("|")] for line in lines if not line.startswith("---")]


def test_every_metric_of_calls_is_told_with_its_kind() -> None:
    told = [(row[0].strip("`"), row[1]) for row in rows("Calls")]
    assert told == [(family.name, "histogram" if family.is_histogram else "counter") for family in FAMILIES]


def test_every_bucket_is_told() -> None:
    assert (
        tuple(re.findall(r"`([^`]+)`", section("Calls").partition("Buckets of histograms:")[2].partition("\n\n")[0]))
        == BOUNDS
    )


def test_every_label_is_told_and_which_of_them_tcp_does_not_have() -> None:
    told = {name: row[1] for row in rows("Labels") for name in re.findall(r"`(\w+)`", row[0])}
    assert set(told) == set(HTTP_LABELS)
    assert {name for name, text in told.items() if "Not with TCP" not in text} == set(TCP_LABELS)


def test_every_metric_of_the_agents_own_is_told_with_its_kind_and_its_label() -> None:
    told = {row[0].strip("`"): row[1:3] for row in rows("The agent")}
    labels = {**{name: f"`{label}`" for name, label in LABELS.items()}, "istio_build": "`component`, `tag`"}
    assert told == {name: [kind, labels.get(name, "")] for name, (kind, _) in OWN.items()}
