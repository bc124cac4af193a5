"""What connections that last have carried, out of the lines in which Envoy says so."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from tulle.agent.figures.families import Family
from tulle.agent.figures.labels import UNKNOWN
from tulle.agent.figures.open_connections import OpenConnections
from tulle.agent.figures.totals import Totals

_SENT, _RECEIVED = "istio_tcp_sent_bytes_total", "istio_tcp_received_bytes_total"
_TAGS = {"call": "reporter=source;cluster=outbound|5432||db.default.svc.cluster.local;response_flags=-"}


class Town:
    def __init__(self, most: int = 100) -> None:
        self.carried: Counter[str] = Counter()
        self.tags: list[Mapping[str, str]] = []
        self.open = OpenConnections(self._carried, most)

    def _carried(self, family: Family, tags: Mapping[str, str], size: int) -> None:
        assert size > 0
        self.carried[family.name] += size
        self.tags.append(tags)

    def said(self, sent: int, received: int, connection: int = 1, *, ended: bool = False) -> dict[str, int]:
        self.open.said(line(sent, received, connection, ended=ended))
        return dict(self.carried)


def line(sent: int, received: int, connection: int = 1, *, ended: bool = False) -> bytes:
    moment = "TcpConnectionEnd" if ended else "TcpPeriodic"
    values = {"tcp_received_bytes_total": received, "tcp_sent_bytes_total": sent}
    said: dict[str, Any] = {"about": "open connection", "connection": connection, "moment": moment}
    return json.dumps(said | {name: {"bytes": value, **_TAGS} for name, value in values.items()}).encode()


def test_each_byte_of_a_connection_counts_once() -> None:
    town = Town()
    assert town.said(10, 1) == {_SENT: 10, _RECEIVED: 1}
    assert town.said(10, 1) == {_SENT: 10, _RECEIVED: 1}
    assert town.said(30, 2, ended=True) == {_SENT: 30, _RECEIVED: 2}
    assert town.said(5, 5, connection=2, ended=True) == {_SENT: 35, _RECEIVED: 7}
    assert town.tags[0] == {
        "reporter": "source",
        "cluster": "outbound|5432||db.default.svc.cluster.local",
        "response_flags": "-",
    }


def test_a_line_that_is_lost_is_made_up_for_by_the_next() -> None:
    town = Town()
    town.said(10, 1)
    town.open.said(line(20, 1)[:40])
    assert town.said(30, 1) == {_SENT: 30, _RECEIVED: 1}


def test_of_too_many_connections_some_are_counted_at_their_end() -> None:
    town = Town(most=1)
    town.said(10, 1)
    assert town.said(7, 7, connection=2) == {_SENT: 10, _RECEIVED: 1}
    assert town.said(8, 8, connection=2, ended=True) == {_SENT: 18, _RECEIVED: 9}
    assert town.said(12, 1, ended=True) == {_SENT: 20, _RECEIVED: 9}
    assert town.said(1, 1, connection=3) == {_SENT: 21, _RECEIVED: 10}


@pytest.mark.parametrize("text", [b"", b"{}", b'{"connection": "1"}', b'{"connection": 1, "tcp_sent_bytes_total": 7}'])
def test_other_lines_count_nothing(text: bytes) -> None:
    town = Town()
    town.open.said(text)
    assert not town.carried


def test_what_they_carry_is_of_the_same_flow_as_what_envoy_counts() -> None:
    totals = Totals(UNKNOWN)
    OpenConnections(totals.carried).said(line(10, 1))
    [flow] = totals.flows
    assert flow.totals == flow.fresh == {_SENT: [10.0], _RECEIVED: [1.0]}
    labels = dict(flow.labels)
    assert (labels["request_protocol"], labels["destination_service_name"]) == ("tcp", "db")
