"""What `tulle stat` shows of rows, and notes beside its table."""

from __future__ import annotations

import re
from typing import Any

import click
import pytest
from msgspec.structs import replace

from tulle.api.figure_views import InstancesView, LostView, StatsView, StatView
from tulle.cli.stat_rows import notes, table

ROW = StatView(*("service", "shop", "api", 1000, 1.0, 1.0, 1.0, 2.0, 3.0, 1.0, {}, {}, None, None))


def found(*rows: StatView) -> StatsView:
    return StatsView(60, 0, list(rows), LostView(0, 0), [], 1)


def shown(*rows: StatView) -> list[str]:
    return [click.unstyle(line) for line in table(found(*rows), "service")]


def noted(**about: Any) -> str:
    return "\n".join(notes(found(replace(ROW, **about))))


def test_calls_that_did_not_get_there_have_a_column_where_there_are_any() -> None:
    assert shown(ROW)[0].split()[-1] == "MTLS"
    lines = shown(ROW, replace(ROW, name="db", unreached=7))
    assert [line.split()[-1] for line in lines] == ["UNREACHED", "-", "7"]


def test_programs_that_only_call_others_are_running_and_not_missing() -> None:
    told = [InstancesView(2, 3), InstancesView(0, 1, running=1), InstancesView(1, 2, running=1), None]
    lines = shown(*(replace(ROW, instances=one) for one in told))
    cells = [re.split(" {2,}", line)[2] for line in lines]
    assert cells == ["INSTANCES", "2/3", "1 running", "1/2 (1 running)", "-"]


@pytest.mark.parametrize(("requests", "is_said"), [(0, False), (1, True), (99, True), (100, False)])
def test_percentiles_of_few_requests_are_said_to_be_rough(requests: int, is_said: bool) -> None:
    assert ("P99 of fewer than 100" in noted(requests=requests)) == is_said


def test_what_unknown_means_is_said_where_it_is_shown() -> None:
    assert "tulle tap" in noted(namespace="", name="unknown")
    assert noted(namespace="", name="outside the mesh") == noted() == noted(name="unknown") == ""
