"""`tulle user` and `tulle audit`, as they are typed: what a token lets its owner do, and what is noted of it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tulle.model.api_token import ApiToken, NoApiToken, decode, encode

RATINGS = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ratings, namespace: shop}
spec: {host: ratings}
"""


def local(token: str) -> str:
    """The same for the control plane's own machine, as its user would have got without `tulle up --listen`."""
    found = decode(token)
    assert found.addresses == ("10.0.0.1:7443",) and len(found.fingerprints) == 1
    return encode(ApiToken(found.user, found.secret))


async def test_a_viewer_sees_all_and_changes_nothing(tulle: Any, tmp_path: Path) -> None:
    made = await tulle("user", "create", "vera", "--role", "viewer")
    assert made.code == 0
    assert "viewer vera, until " in made.err
    token = local(made.out.strip())
    (tmp_path / "ratings.yaml").write_text(RATINGS)
    assert (await tulle("services", TULLE_API=token)).code == 0
    assert (await tulle("proxy", "web-000001", "config", "-o", "json", TULLE_API=token)).code == 0
    assert (await tulle("analyze", "-A", TULLE_API=token)).code == 0
    refused = await tulle("apply", "-f", str(tmp_path / "ratings.yaml"), TULLE_API=token)
    assert (refused.code, refused.out) == (1, "")
    assert "user vera has the role viewer, and POST /v1/resources needs admin" in refused.err
    assert "needs admin" in (await tulle("audit", TULLE_API=token)).err
    listed = json.loads((await tulle("user", "list", "-o", "json")).out)
    assert [(user["name"], user["role"], user["last_used"] is None) for user in listed] == [("vera", "viewer", False)]
    assert (await tulle("user", "revoke", "vera")).out == "the token of vera is worth nothing any more\n"
    ended = await tulle("services", TULLE_API=token)
    assert (ended.code, "not valid" in ended.err) == (1, True)


async def test_what_an_admin_changes_is_in_the_audit_log_under_that_name(tulle: Any, tmp_path: Path) -> None:
    made = json.loads((await tulle("user", "create", "ada", "--role", "admin", "-o", "json")).out)
    token = local(made["token"])
    (tmp_path / "ratings.yaml").write_text(RATINGS)
    assert (await tulle("apply", "-f", str(tmp_path / "ratings.yaml"), TULLE_API=token)).code == 0
    lines = (await tulle("audit", "--since", "10m")).out.splitlines()
    assert "  changed  local uid " in lines[0]
    assert lines[0].endswith("  POST /v1/users: user ada")
    assert lines[1].endswith("  changed  user ada  POST /v1/resources: created DestinationRule shop/ratings")
    events = [json.loads(line) for line in (await tulle("audit", "-o", "json")).out.splitlines()]
    assert events[1]["after"]["spec"]["host"] == "ratings"
    assert decode(made["token"]).secret not in str(events)


async def test_the_audit_log_can_be_followed(tulle: Any) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tulle", "audit", "-f"),
        env={**os.environ, "TULLE_DATA": str(tulle.data), "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    try:
        await tulle("user", "create", "vera", "--role", "viewer")
        assert b"user vera" in await asyncio.wait_for(process.stdout.readline(), 20)
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        (("create", "vera"), "say what they may do: --role viewer, or --role admin"),
        (("create", "--role", "viewer"), "say whom: tulle user create NAME"),
        (("create", "Vera", "--role", "viewer"), "no DNS label"),
        (("create", "vera", "--role", "viewer", "--ttl", "soon"), "--ttl: 'soon' is no duration"),
        (("list", "vera"), "list takes no NAME"),
        (("revoke",), "say whom: tulle user revoke NAME"),
        (("revoke", "vera", "--role", "admin"), "revoke takes no --role"),
    ],
)
async def test_a_mistake_is_told(alone: Any, words: tuple[str, ...], mistake: str) -> None:
    ended = await alone("user", *words)
    assert (ended.code, mistake in ended.err) == (2, True), ended.err


@pytest.mark.parametrize(
    "token", ["x", "tulleapi1.", "tulleapi1.e30", "tulleapi1.W10", "tulleapi1.\u2028", "tulleapi1.a"]
)
async def test_a_damaged_token_is_told_and_not_shown(alone: Any, token: str) -> None:
    ended = await alone("services", TULLE_API=token)
    assert (ended.code, "TULLE_API: " in ended.err) == (2, True), ended.err


def test_a_token_says_again_what_it_was_made_of_and_shows_no_secret() -> None:
    token = ApiToken("vera", "s" * 43, ("10.0.0.1:7443", "[fd00::1]:7443"), ("ab" * 32,))
    assert decode(encode(token)) == token
    assert "sss" not in repr(token)
    with pytest.raises(NoApiToken, match="by which root"):
        decode(encode(ApiToken("vera", "s" * 43, ("10.0.0.1:7443",))))
