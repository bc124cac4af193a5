"""`tulle token`, and how `tulle run` and `tulle up` are told of what it makes."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from tulle.agent.joining import handed, taken
from tulle.cli import token, up
from tulle.cli.exits import Mistakes
from tulle.cli.joining_options import joining_by
from tulle.model.join_token import JoinToken, decode, encode

TOKEN = JoinToken(("10.0.0.1:7443",), ("a" * 64,), "3fa2c19b07", "S" * 43)
TEXT = encode(TOKEN)
WHERE = encode(JoinToken(TOKEN.addresses, TOKEN.fingerprints))
NO_JWT: dict[str, Any] = {
    "listen": ("10.0.0.1", 7443),
    "jwt_issuer": None,
    "jwt_audience": None,
    "jwt_jwks": None,
    "jwt_ca": None,
    "jwt_maps": (),
}


async def test_a_token_is_printed_alone_on_stdout(tulle: Any) -> None:
    done = await tulle("token", "create", "--service", "web", "-n", "shop", "--ttl", "2h", "--uses", "3")
    assert done.code == 0
    token = decode(done.out.strip())
    assert token.addresses == ("10.0.0.1:7443",)
    assert f"token {token.id}: 3 enrolments as web.shop, until " in done.err
    listed = await tulle("token", "list")
    assert listed.out.splitlines()[1].split()[:5] == [token.id, "web", "shop", "web", "0/3"]
    assert token.secret not in listed.out + (await tulle("token", "list", "-o", "json")).out
    revoked = await tulle("token", "revoke", token.id)
    assert revoked.out.startswith(f"revoked {token.id};")
    again = await tulle("token", "revoke", token.id)
    assert (again.code, "there is no join token" in again.err) == (1, True)
    assert json.loads((await tulle("token", "list", "-o", "json")).out) == []


async def test_what_makes_no_sense_is_said(alone: Any) -> None:
    for words, error in (
        (("create",), "--service NAME"),
        (("create", "--service", "No"), "is no DNS label"),
        (("create", "--service", "web", "--ttl", "soon"), "--ttl: 'soon' is no duration"),
        (("create", "--service", "web", "--jwt"), "contradict each other"),
        (("create", "x", "--service", "web"), "create takes no ID"),
        (("revoke",), "tulle token revoke ID"),
        (("revoke", "../status"), "is no token's id"),
    ):
        done = await alone("token", *words)
        assert (done.code, error in done.err) == (2, True), (words, done.err)


def test_a_token_is_found_where_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TEXT}\n")
    assert joining_by(None, None, None, "") == ""
    assert joining_by(None, None, None, f" {TEXT}\n") == TEXT
    assert joining_by(TEXT, None, None, "else") == TEXT
    assert joining_by(None, str(file), None, "else") == TEXT
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{TEXT}\nmore"))
    assert joining_by("-", None, None, "") == TEXT
    assert joining_by(WHERE, None, "jwt", "") == WHERE


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (("tulle1.AAAA", None, None, ""), "--join: the join token is damaged"),
        ((None, "/nowhere", None, ""), "--join-file /nowhere: No such file"),
        ((None, None, None, "x"), "TULLE_JOIN: a join token begins with tulle1."),
        ((None, None, "jwt", ""), "--join-jwt needs a join token"),
        ((TEXT, None, "jwt", ""), "this one has a secret of its own"),
        ((WHERE, None, None, ""), "say which JWT proves this instance"),
    ],
)
def test_a_token_that_is_of_no_use_is_refused_at_once(given: tuple[Any, ...], error: str) -> None:
    with pytest.raises(Mistakes, match=error.replace(".", r"\.")):
        joining_by(*given)


def test_a_token_is_handed_to_the_agent_by_a_pipe_that_is_gone_afterwards() -> None:
    descriptor = handed(TEXT)
    assert taken(descriptor) == TOKEN
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    assert taken(None) is None


async def test_a_unit_file_is_no_place_for_a_token(alone: Any, tmp_path: Path) -> None:
    done = await alone("run", "web", "--systemd", "--join", TEXT, "--", "/bin/true")
    assert (done.code, "--join-file FILE" in done.err, TOKEN.secret in done.err + done.out) == (2, True, False)
    done = await alone("run", "web", "--systemd", "--join-file", "token", "--", "/bin/true")
    assert f"--join-file={Path.cwd() / 'token'}" in done.out


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1", ("10.0.0.1", 7443)),
        ("10.0.0.1:8000", ("10.0.0.1", 8000)),
        ("0.0.0.0", ("0.0.0.0", 7443)),
        ("::1", ("::1", 7443)),
        ("[fd00::1]", ("fd00::1", 7443)),
        ("[fd00::1]:8000", ("fd00::1", 8000)),
    ],
)
def test_where_to_listen(text: str, address: tuple[str, int]) -> None:
    assert up._address(text) == address


@pytest.mark.parametrize(
    "text", ["", "localhost", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:70000", "[::1", "224.0.0.1", "fe80::1%lo"]
)
def test_where_nobody_can_listen(text: str) -> None:
    with pytest.raises(click.BadParameter):
        up._address(text)


def test_options_of_create_are_refused_elsewhere() -> None:
    with pytest.raises(Mistakes, match="--service, --ttl: list takes none of the options of create"):
        token.command.main(["list", "--service", "web", "--ttl", "2h"], standalone_mode=False)


def test_an_empty_address_is_none() -> None:
    # As in `--listen "$ADDRESS"` where that is not set.
    with pytest.raises(click.BadParameter, match="'' is no IP address"):
        up.command.main(["--listen", ""], standalone_mode=False)


def test_an_issuer_is_taken_as_it_was_given(tmp_path: Path) -> None:
    assert up.issuer_of(**NO_JWT) is None
    keys = tmp_path / "keys"
    keys.write_text("{}")
    given = {
        "jwt_issuer": "https://oidc",
        "jwt_audience": "tulle",
        "jwt_jwks": str(keys),
        "jwt_maps": ("a=b=shop/web",),
    }
    issuer = up.issuer_of(**{**NO_JWT, **given})
    assert issuer
    assert (issuer.issuer, issuer.audience, issuer.keys) == ("https://oidc", "tulle", str(keys))
    assert issuer.mapping == (("a=b", ("shop", "web", "web")),)


def test_all_that_is_wrong_with_an_issuer_is_said_at_once() -> None:
    given = {"listen": None, "jwt_issuer": "http://oidc", "jwt_ca": "/nowhere", "jwt_maps": ("a", "a=shop/No")}
    with pytest.raises(Mistakes) as mistakes:
        up.issuer_of(**{**NO_JWT, **given})
    for part in (
        "--jwt-issuer URL and --jwt-audience TEXT",
        "needs --listen",
        "plain http could be anybody's",
        "--jwt-ca /nowhere: there is no such file",
        "--jwt-map a: write SUBJECT=",
        "--jwt-map a=shop/No: service name 'No'",
    ):
        assert part in str(mistakes.value)
