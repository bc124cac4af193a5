"""Revoking over the API, and the doors that do not open any more."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import AsyncIterator, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.routing import Route

from tulle.api.callers import Known, Proof
from tulle.api.roles import ROLES
from tulle.identity.attempts import FailedAttempts
from tulle.identity.attestation import Attestation
from tulle.identity.audit import nobody
from tulle.identity.authority import Authority
from tulle.identity.browsers import Browsers
from tulle.identity.root import new_root
from tulle.identity.users import Users
from tulle.model.spiffe import proxy_id
from tulle.store.contract import Store
from tulle.store.sqlite import open_store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "state") as store:
        yield store


def csr() -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def body(**content: object) -> bytes:
    return json.dumps(content).encode()


def enrolment(proxy: str) -> bytes:
    names = {"proxy": proxy, "namespace": "default", "service": "web", "service_account": "frontend"}
    return body(**names, csr=csr(), proxy_csr=csr())


async def test_what_is_enrolled_is_revoked_listed_and_undone(api: Any) -> None:
    assert (await api.ask("POST", "/v1/enrol", enrolment("web-1")))[0] == 200
    status, done = await api.ask("POST", "/v1/revocations", body(target="web-1", reason="lost"))
    assert (status, done["handshakes"], done["already"]) == (200, True, [])
    [one] = done["changed"]
    assert (one["kind"], one["name"], one["service"], one["reason"]) == ("proxy", "web-1", "web", "lost")
    assert one["spiffe_id"] == "spiffe://cluster.local/ns/default/sa/frontend"
    assert one["by"].startswith("local uid ")
    assert abs(one["until"] - time.time() - 600) < 60
    assert await api.ask("GET", "/v1/revocations") == (200, [one])

    status, refused = await api.ask("POST", "/v1/enrol", enrolment("web-1"))
    assert (status, refused["error"].split(";")[0]) == (403, "proxy web-1 is revoked: lost")
    assert (await api.ask("POST", "/v1/revocations", body(target="web-1")))[1]["already"] == [one]

    status, done = await api.ask("POST", "/v1/revocations/undo", body(target="web-1"))
    assert (status, done["changed"]) == (200, [one])
    assert await api.ask("GET", "/v1/revocations") == (200, [])
    status, refused = await api.ask("POST", "/v1/revocations/undo", body(target="web-1"))
    assert (status, refused["error"]) == (404, "web-1 is not revoked; `tulle revoke --list` shows what is")


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (body(target="ghost"), 404, "no proxy or service ghost is enrolled"),
        (body(target="ns/shop"), 400, "names nobody"),
        (body(target="web.shop", namespace="default"), 400, "is in the namespace shop, not in default"),
        (body(target="web", namespace="Not"), 400, "namespace"),
        (body(target="web", reason="x" * 501), 400, "at most 500 characters"),
        (body(target="web", reason="two\nlines"), 400, "one line"),
        (body(target="web", why="typo"), 400, "unknown field `why`"),
        (b"{", 400, "this is no wish to revoke"),
    ],
)
async def test_what_can_not_be_revoked_is_told(api: Any, content: bytes, status: int, words: str) -> None:
    answered, refused = await api.ask("POST", "/v1/revocations", content)
    assert answered == status
    assert words in refused["error"]


async def test_the_door_for_other_machines_is_closed_to_a_revoked_proxy(store: Store) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    signed = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    request = signed.public_bytes(serialization.Encoding.PEM).decode()
    authority = Authority(new_root(datetime.now(UTC)), time.time)
    chain = authority.issue(request, proxy_id("web-1"), 600).chain_pem
    leaf = ssl.PEM_cert_to_DER_cert(chain.partition("-----END CERTIFICATE-----\n")[0] + "-----END CERTIFICATE-----\n")
    came: list[str] = []

    async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        came.append(scope["path"])

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    async def nothing(request: Any) -> Any: ...

    # Those of the table, with nothing behind them.
    routes = [Route(way.split()[1], nothing, methods=way.split()[:1]) for way in ROLES]
    users, browsers = Users(store, time.time), Browsers(time.monotonic)
    proof = Proof(Attestation("5e" * 32), users, browsers, FailedAttempts(time.monotonic), nobody)
    known: dict[str, str] = {}
    door = Known(
        app, routes, proof, nobody, time.time, lambda proxy: known.get(proxy, ""), FailedAttempts(time.monotonic)
    )
    for why in ({}, {"web-1": "proxy web-1 is revoked"}):
        known.update(why)
        for path in ("/v1/agents/web-1", "/v1/enrol", "/v1/trust"):
            scope: dict[str, Any] = {
                "type": "http",
                "method": "POST",
                "path": path,
                "headers": [],
                "state": {"peer": "10.0.0.2", "certificate": leaf},
            }
            await door(scope, receive, send)
    assert came == ["/v1/agents/web-1", "/v1/enrol"], "and none of a revoked one"
    assert [m["status"] for m in sent if m["type"] == "http.response.start"] == [403] * 4
    assert json.loads(sent[-1]["body"]) == {"error": "proxy web-1 is revoked", "revoked": True}
