"""What an agent tells of what its Envoy has taken up."""

from __future__ import annotations

from tulle.agent.trusts import Trusts


def test_both_are_told_whichever_comes_first() -> None:
    told = []
    trusts = Trusts(lambda: told.append(trusts.holds))
    trusts.hold(trust="1")
    trusts.hold(root="r")
    assert told == [{"trust": "1", "root": ""}, {"trust": "1", "root": "r"}]
