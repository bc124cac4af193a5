"""JWT-SVIDs: what is signed is what is checked, and anything else is refused with a reason."""

from __future__ import annotations

import json
import time
from pathlib import Path

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tulle.identity.jwt_authority import FILE, AudienceRefused, JwtAuthority
from tulle.identity.private import StateUnusable
from tulle.workload_api.jwt_svid import Invalid, validated

ME = "spiffe://cluster.local/ns/default/sa/web"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> JwtAuthority:
    return JwtAuthority.open(tmp_path_factory.mktemp("ca"), time.time)


def test_a_token_is_good_for_its_audience_and_for_five_minutes(authority: JwtAuthority) -> None:
    claims = validated(authority.sign(ME, ["shop"]), "shop", authority.key_set)
    assert (claims["sub"], claims["aud"], claims["exp"] - claims["iat"]) == (ME, ["shop"], 300)


def test_the_key_stays_and_is_its_owners_alone(tmp_path: Path) -> None:
    first, second = (JwtAuthority.open(tmp_path, time.time).key_set for _ in range(2))
    assert first == second
    assert "d" not in json.loads(first)["keys"][0]
    (tmp_path / FILE).chmod(0o644)
    with pytest.raises(StateUnusable, match="can be read or changed by others"):
        JwtAuthority.open(tmp_path, time.time)


def test_a_damaged_key_is_told_with_the_way_out(tmp_path: Path) -> None:
    JwtAuthority.open(tmp_path, time.time)
    (tmp_path / FILE).write_text("damaged")
    with pytest.raises(StateUnusable, match="Remove it"):
        JwtAuthority.open(tmp_path, time.time)


@pytest.mark.parametrize("audience", [[], [""], ["a"] * 17, ["a" * 1025]], ids=["none", "empty", "many", "long"])
def test_no_token_is_for_nobody_or_for_all(authority: JwtAuthority, audience: list[str]) -> None:
    with pytest.raises(AudienceRefused):
        authority.sign(ME, audience)


def test_an_old_token_is_no_good(tmp_path: Path) -> None:
    late = JwtAuthority.open(tmp_path, lambda: time.time() - 301)
    with pytest.raises(Invalid, match="expired"):
        validated(late.sign(ME, ["shop"]), "shop", late.key_set)


def test_a_token_of_a_machine_whose_clock_is_ahead_is_good(tmp_path: Path) -> None:
    ahead = JwtAuthority.open(tmp_path, lambda: time.time() + 120)
    assert validated(ahead.sign(ME, ["shop"]), "shop", ahead.key_set)["sub"] == ME


def test_another_mesh_signs_nothing_here(tmp_path: Path, authority: JwtAuthority) -> None:
    other = JwtAuthority.open(tmp_path, time.time)
    with pytest.raises(Invalid, match="no key of this trust domain"):
        validated(other.sign(ME, ["shop"]), "shop", authority.key_set)


def test_a_subject_elsewhere_is_none_of_ours(authority: JwtAuthority) -> None:
    with pytest.raises(Invalid, match="no identity"):
        validated(authority.sign("spiffe://elsewhere/x", ["shop"]), "shop", authority.key_set)


@given(st.one_of(st.text(), st.from_regex(r"[\w-]+\.[\w-]+\.[\w-]*", fullmatch=True), st.binary().map(repr)))
def test_any_text_is_refused_and_nothing_else_happens(authority: JwtAuthority, token: str) -> None:
    with pytest.raises(Invalid):
        validated(token, "shop", authority.key_set)


@given(st.data())
def test_a_token_with_any_other_byte_is_refused(authority: JwtAuthority, data: st.DataObject) -> None:
    token = authority.sign(ME, ["shop"])
    at = data.draw(st.integers(0, len(token.rpartition(".")[0]) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda one: one != token[at]))
    changed = token[:at] + other + token[at + 1 :]
    with pytest.raises(Invalid):
        validated(changed, "shop", authority.key_set)


def test_the_algorithm_is_never_the_senders_choice(authority: JwtAuthority) -> None:
    kid = json.loads(authority.key_set)["keys"][0]["kid"]
    claims = {"sub": ME, "aud": "shop", "exp": time.time() + 60}
    for algorithm, key in (("none", None), ("HS256", "x" * 64)):
        with pytest.raises(Invalid):
            validated(jwt.encode(claims, key, algorithm, {"kid": kid}), "shop", authority.key_set)  # type: ignore[arg-type]
