"""Single requests in lines."""

from __future__ import annotations

import json
from typing import Any

import click
import msgspec
import pytest

from tulle.api.call_views import CalledView, shown
from tulle.cli.calls import each_once, header_lines, line
from tulle.telemetry.calls.kept import Kept
from tulle.telemetry.calls.told import decoder

TOLD = {"side": "destination", "method": "GET", "path": "/a", "status": 200, "peer_id": "spiffe://x"}


def call(lost: int = 0, **fields: Any) -> CalledView:
    told = decoder.decode(json.dumps({"calls": [{**TOLD, **fields}]})).calls[0]
    return msgspec.structs.replace(shown(Kept("b-1", "default/b", told)), lost=lost)


def test_a_call_with_two_ends_is_shown_once_and_nothing_of_what_is_missing_is_forgotten() -> None:
    calls = [call(1, side="source"), call(2), call(4, side="source", peer_id=""), call(8, side="source"), call()]
    assert [(one.side, one.lost) for one in each_once(calls)] == [("destination", 3), ("source", 4), ("destination", 8)]


def test_each_header_is_a_line_if_they_were_asked_for() -> None:
    assert list(header_lines(call())) == []
    asked = {"a": "1", "(more)": "2 headers are left out"}
    told = call(request_headers=asked, response_headers={"b": "2"}, response_trailers={"grpc-status": "0"})
    lines = ["    > a: 1", "    > (more): 2 headers are left out", "    < b: 2", "    < grpc-status: 0"]
    assert [click.unstyle(line) for line in header_lines(told)] == lines


def test_in_json_headers_are_there_only_if_they_were_asked_for() -> None:
    assert b"headers" not in msgspec.json.encode(call())
    told = json.loads(msgspec.json.encode(call(request_headers={"a": "1"})))
    assert told["request_headers"] == {"a": "1"} and "response_headers" not in told


@pytest.mark.parametrize("time", ["nan", "inf", "-inf", "1e300", "1e12", "-1e9", "1e-400", "soon", ""])
def test_a_time_that_no_clock_shows_keeps_nobody_from_reading_on(time: str) -> None:
    told = call(time=time)
    again = msgspec.json.decode(msgspec.json.encode(told), type=CalledView)
    assert again == told and "GET /a  200" in click.unstyle(line(again))
