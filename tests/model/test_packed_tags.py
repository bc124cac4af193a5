"""Tags in one text, taken apart again."""

from __future__ import annotations

import pytest

from tulle.model.packed_tags import TAG, packed, unpacked

TAGS = {"reporter": "source", "peer_id": "", "cluster": "outbound|80|v1|b.default.svc.cluster.local", "without": "a,b"}


@pytest.mark.parametrize(
    "route", [{}, {"route": ""}, {"route": "default/b:0"}, {"route": "x;peer_id=spiffe://forged;route=y"}]
)
def test_what_was_put_in_comes_out(route: dict[str, str]) -> None:
    tags = {**route, **TAGS}
    assert unpacked({TAG: packed(tags)}) == tags


def test_tags_apart_stay_and_are_not_replaced() -> None:
    assert unpacked({"grpc_status": "0", TAG: "code=1;grpc_status=2"}) == {"grpc_status": "0", "code": "1"}


def test_without_such_a_tag_nothing_is_changed() -> None:
    assert unpacked({"a": "1"}) == {"a": "1"}
