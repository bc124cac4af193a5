"""Who a control plane on another machine must be before it is told anything."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

import pytest

from tulle.agent.known_roots import is_control_plane, known_roots, to_anybody, to_one_of
from tulle.identity.ca import pem_of
from tulle.identity.fingerprints import fingerprints
from tulle.identity.root import new_root
from tulle.model.spiffe import CONTROL_PLANE_ID


def test_of_what_is_answered_only_the_roots_that_are_meant_are_believed() -> None:
    ours, theirs = (pem_of([new_root(datetime.now(UTC)).certificate]) for _ in range(2))
    meant, other = fingerprints(ours), fingerprints(theirs)
    assert known_roots({"bundle": theirs + ours}, meant) == (ours, (*other, *meant))
    assert known_roots({"bundle": theirs}, meant) == ("", other)


@pytest.mark.parametrize(
    "answer", [None, [], {}, {"bundle": 1}, {"bundle": ""}, {"bundle": "-----END CERTIFICATE-----"}]
)
def test_an_odd_answer_has_no_roots(answer: object) -> None:
    assert known_roots(answer, ["0" * 64, ""]) == ("", ())


def test_nobody_is_trusted_by_mistake() -> None:
    with pytest.raises((ssl.SSLError, ValueError)):
        to_one_of("")
    roots = to_one_of(pem_of([new_root(datetime.now(UTC)).certificate]))
    assert (roots.verify_mode, roots.minimum_version) == (ssl.CERT_REQUIRED, ssl.TLSVersion.TLSv1_3)
    assert to_anybody().minimum_version == ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize(
    ("names", "is_it"),
    [
        ((("URI", CONTROL_PLANE_ID),), True),
        ((("URI", CONTROL_PLANE_ID), ("DNS", "web")), False),
        ((("DNS", CONTROL_PLANE_ID),), False),
        ((("URI", "spiffe://cluster.local/ns/default/sa/web"),), False),
        ((), False),
    ],
)
def test_the_control_plane_has_one_name(names: tuple[tuple[str, str], ...], is_it: bool) -> None:
    assert is_control_plane({"subjectAltName": names}) is is_it
    assert not is_control_plane({})
