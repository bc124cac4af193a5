"""What `tulle stat` shows of rows: columns are there where there is something in them."""

from __future__ import annotations

import click
from msgspec.structs import replace

from tulle.api.figure_views import LostView, StatsView, StatView
from tulle.cli.stat_rows import table

ROW = StatView(*("service", "shop", "api", 10, 1.0, 1.0, 1.0, 2.0, 3.0, 1.0, {}, {}, None, None))


def shown(*rows: StatView) -> list[str]:
    lines = table(StatsView(60, 0, list(rows), LostView(0, 0), [], 1), "service")
    return [click.unstyle(line) for line in lines]


def test_calls_that_did_not_get_there_have_a_column_where_there_are_any() -> None:
    assert shown(ROW)[0].split()[-1] == "MTLS"
    lines = shown(ROW, replace(ROW, name="db", unreached=7))
    assert [line.split()[-1] for line in lines] == ["UNREACHED", "-", "7"]
