"""Names that are none of the mesh's own: which of them are asked for, and which are not to be found."""

from __future__ import annotations

import pytest

from tulle.agent.dns.outside import Outside, said


@pytest.mark.parametrize(
    ("name", "is_declared"),
    [
        ("api.example.com", True),
        ("one.wild.example.com", True),
        ("one.two.wild.example.com", True),
        ("wild.example.com", False),
        ("example.com", False),
        ("api.example.com.corp", False),
    ],
)
def test_a_host_is_declared_by_its_name_or_by_a_wildcard_over_it(name: str, is_declared: bool) -> None:
    outside = Outside(frozenset({"api.example.com", "*.wild.example.com"}))
    assert outside.declares(name) is is_declared


def test_with_too_many_hosts_every_name_may_be_one() -> None:
    assert Outside(None).declares("anything.at.all")
    assert Outside(frozenset({"*"})).declares("anything.at.all")


def test_others_are_hidden_only_if_so_said_and_never_the_machine_itself() -> None:
    assert not Outside().hides((b"example", b"org"))
    closed = Outside(passes=False)
    assert closed.hides((b"example", b"org"))
    assert not closed.hides((b"localhost",))
    assert not closed.hides((b"1", b"0", b"0", b"10", b"in-addr", b"arpa"))


def test_what_the_control_plane_says_is_read() -> None:
    assert said({"hosts": ["a.com"], "passes": True}) == Outside(frozenset({"a.com"}))
    assert said({"hosts": None, "passes": False}) == Outside(None, passes=False)
    with pytest.raises(ValueError, match="makes no sense"):
        said({"hosts": "a.com", "passes": True})
