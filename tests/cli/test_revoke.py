"""`tulle revoke`: what it prints, and what it does not take."""

from __future__ import annotations

from typing import Any

import pytest


async def test_a_service_account_is_revoked_listed_and_undone(tulle: Any) -> None:
    done = await tulle("revoke", "ns/shop/sa/frontend", "--reason", "leaked")
    assert (done.code, done.out, done.err) == (0, "service account frontend in namespace shop is revoked\n", "")
    again = await tulle("revoke", "spiffe://cluster.local/ns/shop/sa/frontend")
    assert (again.code, again.out) == (0, "service account frontend in namespace shop was revoked before\n")
    [row] = (await tulle("revoke", "--list")).rows
    assert (row[:4], row[5], row[-1]) == (["service account", "frontend", "shop", "-"], "-", "leaked")
    [listed] = (await tulle("revoke", "--list", "-o", "json")).json
    assert (listed["kind"], listed["until"]) == ("service account", None)
    undone = await tulle("revoke", "--undo", "ns/shop/sa/frontend")
    assert (undone.code, undone.out) == (0, "service account frontend in namespace shop is revoked no more\n")
    assert (await tulle("revoke", "--list")).rows == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "say who: tulle revoke TARGET"),
        (("--list", "web"), 2, "--list shows all"),
        (("--undo", "web", "--reason", "x"), 2, "--reason is for revoking"),
        (("ghost",), 1, "no proxy or service ghost is enrolled"),
        (("ns/shop",), 1, "names nobody"),
        (("--undo", "ghost"), 1, "ghost is not revoked"),
    ],
)
async def test_what_makes_no_sense_is_refused(tulle: Any, arguments: tuple[str, ...], code: int, words: str) -> None:
    ended = await tulle("revoke", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert words in ended.err


async def test_without_a_control_plane_nothing_is_revoked(alone: Any) -> None:
    assert (await alone("revoke", "web-1")).code == 3
