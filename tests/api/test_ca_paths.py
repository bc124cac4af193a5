"""The paths of the certificate authority: what they refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "/v1/ca/rotate", b"no JSON", 400, "no authority to go over to"),
        ("POST", "/v1/ca/rotate", b'{"cert": "", "key": "", "root": 1}', 400, "no authority to go over to"),
        ("POST", "/v1/ca/rotate", b'{"cert": "", "key": "secret", "root": ""}', 409, "can't be used: ca-cert"),
        ("POST", "/v1/ca/finish", b"", 409, "no rotation is under way"),
        ("POST", "/v1/ca", b"", 405, "not for /v1/ca"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_changes_nothing(
    api: Any, method: str, path: str, body: bytes, status: int, message: str
) -> None:
    answered, content = await api.ask(method, path, body)
    assert answered == status
    assert message in content["error"] and "secret" not in json.dumps(content)
    assert (await api.ask("GET", "/v1/ca"))[1]["phase"] == "steady"
