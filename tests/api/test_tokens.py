"""Join tokens over the API: told once, listed without their secrets, revoked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tulle.model.join_token import decode


async def made(api: Any, **wanted: Any) -> tuple[int, Any]:
    body = json.dumps({"service": "web", "addresses": ["10.0.0.1:7443"], **wanted}).encode()
    status, answer = await api.ask("POST", "/v1/tokens", body)
    return status, answer


async def test_a_token_is_made_listed_and_revoked(api: Any, tmp_path: Path) -> None:
    status, answer = await made(api, namespace="shop", ttl=60, uses=3)
    assert status == 200
    token = decode(answer["token"])
    assert (token.id, token.addresses) == (answer["id"], ("10.0.0.1:7443",))
    status, [listed] = await api.ask("GET", "/v1/tokens")
    assert listed == answer["about"]
    assert (listed["service"], listed["namespace"], listed["service_account"]) == ("web", "shop", "web")
    assert (listed["uses"], listed["used"], listed["expires"] - listed["created"]) == (3, 0, 60)
    assert token.secret not in json.dumps(listed)
    assert await api.ask("DELETE", f"/v1/tokens/{token.id}") == (200, {"revoked": token.id})
    assert await api.ask("GET", "/v1/tokens") == (200, [])
    assert (await api.ask("DELETE", f"/v1/tokens/{token.id}"))[0] == 404


async def test_one_without_a_secret_says_only_where_the_control_plane_is(api: Any) -> None:
    status, answer = await made(api, jwt=True)
    assert (status, answer["id"], answer["about"]) == (200, "", None)
    assert decode(answer["token"]).evidence == ""
    assert await api.ask("GET", "/v1/tokens") == (200, [])


async def test_a_token_that_nobody_could_use_is_refused(api: Any) -> None:
    for wanted, status, error in (
        ({"addresses": []}, 409, "--listen ADDRESS"),
        ({"addresses": ["10.0.0.1"]}, 400, "write HOST:PORT"),
        ({"addresses": ["10.0.0.1:1"] * 9}, 400, "at most 8"),
        ({"service": "No"}, 400, "is no DNS label"),
        ({"ttl": 0}, 400, "ttl must be"),
        ({"ttl": 1e300}, 400, "ttl must be"),
        ({"uses": 0}, 400, "uses must be"),
        ({"use": 1}, 400, "unknown field"),
    ):
        got, answer = await made(api, **wanted)
        assert (got, error in answer["error"]) == (status, True), answer
