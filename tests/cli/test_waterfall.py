"""A trace as lines for a terminal."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tulle.api.trace_views import SpanView
from tulle.cli.waterfall import is_one_hop, rows


def _span(id: str, parent: str | None, start: float, milliseconds: float, **about: Any) -> SpanView:
    span = SpanView(id, parent, f"{id}.default", "", "GET", "server", start, milliseconds, False, {}, [], "envoy")
    return replace(span, **about)


@pytest.mark.parametrize("width", [60, 100, 200])
def test_lines_fit_the_terminal_and_bars_lie_where_the_time_went(width: int) -> None:
    made = rows([_span("b", "a", 10.5, 500), _span("a", None, 10.0, 1000)], width)
    assert [row.label.split()[0] for row in made] == ["a.default", "b.default"]
    assert made[1].label.startswith("  b")
    assert len({len(row.bar) for row in made}) == len({len(row.label) for row in made}) == 1
    assert made[0].bar == "=" * len(made[0].bar)
    half = len(made[0].bar) // 2
    assert abs(made[1].bar.index("=") - half) <= 1 and made[1].bar.endswith("=")
    assert all(len(f"{row.label} |{row.bar}| {row.duration}  {row.result}".rstrip()) <= width for row in made)


def test_names_that_are_too_long_are_cut() -> None:
    (made,) = rows([_span("a", None, 1.0, 1, name="x" * 500)], 80)
    assert made.label.endswith("...") and len(made.label) < 80


def test_spans_whose_parent_is_unknown_stand_at_the_left() -> None:
    made = rows([_span("a", None, 1.0, 9), _span("lost", "gone", 2.0, 1), _span("under", "lost", 3.0, 1)], 100)
    assert [len(row.label) - len(row.label.lstrip()) for row in made] == [0, 0, 2]


def test_spans_in_a_circle_are_shown_each_once() -> None:
    circle = [_span("a", "b", 1.0, 1), _span("b", "a", 2.0, 1), _span("c", "c", 3.0, 1)]
    assert sorted(row.label.split()[0][0] for row in rows(circle, 100)) == ["a", "b", "c"]


def test_what_failed_says_how() -> None:
    failed = {"http.status_code": "503", "response_flags": "UF", "grpc.status_code": "14"}
    made = rows([_span("a", None, 1.0, 1, error=True, attributes=failed), _span("b", "a", 1.0, 0, error=True)], 100)
    assert [(row.result, row.error) for row in made] == [("503 grpc 14 UF", True), ("error", True)]


def test_one_call_as_two_sidecars_saw_it_is_one_hop() -> None:
    pair = [_span("a", None, 1.0, 1), _span("b", "a", 1.0, 1)]
    assert is_one_hop(pair)
    assert not is_one_hop([_span("a", None, 1.0, 1, kind="client")])
    assert not is_one_hop([*pair, _span("c", "b", 1.0, 1)])
    assert not is_one_hop([pair[0], _span("b", "a", 1.0, 1, scope="program")])
