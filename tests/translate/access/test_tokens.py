"""Tokens: every field of a RequestAuthentication's rule, and what is said to a token that is not good."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from declared_mesh import instance
from golden import declared_in
from guarded import Guarded, Port, Said, guarded
from issuing import Issuing, handmade
from tulle.ir.tokens import Issuer
from tulle.model.snapshot import Snapshot
from tulle.resolve.access import tokens
from tulle.resolve.index import apply
from tulle.resolve.mesh import Mesh
from written_access import access

ONE, TWO = Issuing("https://one.example"), Issuing("two@example", "2", "RS256")
FOREIGN = Issuing(ONE.name)  # says that it is ONE, with a key of its own

KINDS = {
    algorithm: Issuing(algorithm, algorithm=algorithm)
    for algorithm in ("RS256", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA")
}


def issuers(*rules: dict[str, Any]) -> tuple[Issuer, ...]:
    """A RequestAuthentication each."""
    documents = [
        {"kind": "RequestAuthentication", "metadata": {"name": f"tokens-{n}"}, "spec": {"jwtRules": [rule]}}
        for n, rule in enumerate(rules)
    ]
    proxy = instance("guarded")
    mesh, _ = apply(Mesh(), Snapshot(1, {proxy.id: proxy}, resources=declared_in(documents)))
    return tokens.issuers(mesh, proxy.workloads[0])


def rule(issuing: Issuing, **more: Any) -> dict[str, Any]:
    return {"issuer": issuing.name, "jwks": issuing.jwks, **more}


def when(key: str, *values: str) -> str:
    return f"{{rules: [{{when: [{{key: '{key}', values: {json.dumps(values)}}}]}}]}}"


PORTS = {
    "one": Port(issuers=issuers(rule(ONE))),
    "both": Port(issuers=issuers(rule(ONE), rule(TWO))),
    "apart": Port(issuers=issuers(rule(ONE), rule(TWO, fromHeaders=[{"name": "x-two"}]))),
    "audience": Port(issuers=issuers(rule(ONE, audiences=["bookstore", "shop"]))),
    "any": Port(issuers=issuers({"jwks": ONE.jwks, "jwksUri": ""})),
    "headers": Port(
        issuers=issuers(rule(ONE, fromHeaders=[{"name": "X-Token"}, {"name": "x-pre", "prefix": "Token "}]))
    ),
    "params": Port(issuers=issuers(rule(ONE, fromParams=["token"]))),
    "cookies": Port(issuers=issuers(rule(ONE, fromCookies=["session"]))),
    "forward": Port(issuers=issuers(rule(ONE, forwardOriginalToken=True))),
    "payload": Port(issuers=issuers(rule(ONE, outputPayloadToHeader="X-Payload"))),
    "claims": Port(
        issuers=issuers(
            rule(
                ONE,
                outputClaimToHeaders=[
                    {"header": "X-Sub", "claim": "sub"},
                    {"header": "x-level", "claim": "level"},
                    {"header": "x-city", "claim": "address.city"},
                ],
            )
        )
    ),
    "no keys": Port(issuers=issuers({"issuer": ONE.name, "jwksUri": "https://one.example/keys"})),
    "who": Port(
        access('{rules: [{from: [{source: {requestPrincipals: ["https://one.example/alice", "two@example/*"]}}]}]}'),
        issuers=issuers(rule(ONE), rule(TWO)),
    ),
    "alice": Port(
        access('{rules: [{from: [{source: {requestPrincipals: ["https://one.example/alice"]}}]}]}'),
        issuers=issuers(rule(ONE)),
    ),
    "kinds": Port(issuers=issuers(*map(rule, KINDS.values()))),
    "signed in": Port(access('{rules: [{from: [{source: {requestPrincipals: ["*"]}}]}]}'), issuers=issuers(rule(ONE))),
    "list": Port(access(when("request.auth.claims[groups]", "admin")), issuers=issuers(rule(ONE))),
    "nested": Port(access(when("request.auth.claims[realm][roles]", "admin")), issuers=issuers(rule(ONE))),
    "scope": Port(access(when("request.auth.claims[scope]", "write")), issuers=issuers(rule(ONE))),
    "spaced": Port(
        access(when("request.auth.claims[roles]", "write")), issuers=issuers(rule(ONE, spaceDelimitedClaims=["roles"]))
    ),
    "unspaced": Port(access(when("request.auth.claims[roles]", "write")), issuers=issuers(rule(ONE))),
    "audiences": Port(access(when("request.auth.audiences", "bookstore")), issuers=issuers(rule(ONE))),
    "presenter": Port(access(when("request.auth.presenter", "app")), issuers=issuers(rule(ONE))),
}


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded(tmp_path_factory.mktemp("envoy"), PORTS) as made:
        yield made


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def reason(said: Said) -> str:
    assert said.status == 401 and said.headers["content-type"] == "application/json"
    body = json.loads(said.body)
    assert set(body) == {"code", "error"} and body["code"] == 401
    return str(body["error"]).removeprefix("the token of this request is not good: ")


def test_no_token_passes_and_a_good_one_goes_no_further(sidecar: Guarded) -> None:
    assert sidecar.ask("one").status == 200
    said = sidecar.ask("one", headers=bearer(ONE.token()))
    assert said.status == 200 and said.seen is not None and "authorization" not in said.seen["headers"]
    said = sidecar.ask("one", f"/data?a=1&access_token={ONE.token()}")
    assert said.status == 200 and said.seen is not None and said.seen["path"] == "/data?a=1"


def test_a_token_that_is_not_good_is_answered_with_why(sidecar: Guarded) -> None:
    now = time.time()
    signing = {"alg": "HS256", "kid": "1", "typ": "JWT"}
    claims = {"iss": ONE.name, "sub": "alice", "exp": now + 60}
    unsigned = handmade(signing, claims, b"").rpartition(".")[0]
    confused = (
        f"{unsigned}."
        + base64.urlsafe_b64encode(hmac.new(ONE.public_pem, unsigned.encode(), hashlib.sha256).digest())
        .rstrip(b"=")
        .decode()
    )
    good = ONE.token()
    bad = {
        "expired": ONE.token(exp=now - 120),
        "not yet": ONE.token(nbf=now + 600),
        "foreign key": FOREIGN.token(),
        "foreign issuer": TWO.token(),
        "no issuer": ONE.token(iss=None),
        "alg none": handmade({"alg": "none", "kid": "1"}, claims, b""),
        "alg None": handmade({"alg": "None"}, claims, b"x"),
        "HS256 by the public key": confused,
        "kid unknown": ONE.token(headers={"kid": "2"}),
        "no text": "x",
        "two parts": good.rpartition(".")[0],
        "other claims": ".".join((good.split(".")[0], ONE.token(sub="root").split(".")[1], good.split(".")[2])),
        "signature cut": good[:-4],
        "its own key": handmade({"alg": "ES256", "jwk": FOREIGN.jwk, "kid": "1"}, claims, b"\x01" * 64),
    }
    found = {}
    for name, token in bad.items():
        said = sidecar.ask("one", headers=bearer(token))
        found[name] = reason(said)
        assert said.seen is None
    assert found["expired"] == "Jwt is expired"
    assert found["not yet"] == "Jwt not yet valid"
    assert found["foreign key"] == found["other claims"] == "Jwt verification fails"
    assert found["foreign issuer"] == found["no issuer"] == "Jwt issuer is not configured"
    assert "kid" in found["kid unknown"]
    assert all("one.example" not in text for text in found.values())


def test_of_several_issuers_each_stands_for_its_own(sidecar: Guarded) -> None:
    for issuing in (ONE, TWO):
        assert sidecar.ask("both", headers=bearer(issuing.token())).status == 200
    assert sidecar.ask("both").status == 200
    assert reason(sidecar.ask("both", headers=bearer(FOREIGN.token()))) == "Jwt verification fails"
    assert reason(sidecar.ask("both", headers=bearer(ONE.token(exp=1)))) == "Jwt is expired"
    mixed = handmade({"alg": "ES256", "kid": "1"}, {"iss": TWO.name, "sub": "x"}, b"\x01" * 64)
    assert sidecar.ask("both", headers=bearer(mixed)).status == 401
    wrong = Issuing(TWO.name)
    wrong.key, wrong.kid = ONE.key, ONE.kid  # a key of one issuer says nothing for another
    assert sidecar.ask("both", headers=bearer(wrong.token())).status == 401
    assert sidecar.ask("apart", headers={"x-two": TWO.token()}).status == 200
    assert sidecar.ask("apart", headers={"x-two": ONE.token()}).status == 401
    assert sidecar.ask("any", headers=bearer(ONE.token(iss="whoever"))).status == 200


def test_a_second_token_never_stands_for_another_caller(sidecar: Guarded) -> None:
    def twice(first: str, second: str) -> Said:
        lines = ["GET / HTTP/1.1", "host: guarded", *(f"authorization: Bearer {t}" for t in (first, second)), "", ""]
        return sidecar.say("alice", "\r\n".join(lines).encode())

    alice, bob, bad = ONE.token(), ONE.token(sub="bob"), FOREIGN.token()
    assert twice(alice, alice).status == twice(alice, bad).status == twice(bad, alice).status == 401
    for header, parameter, status in ((bad, alice, 401), (bob, alice, 403), (alice, alice, 200)):
        found = sidecar.ask("alice", f"/?access_token={parameter}", headers=bearer(header))
        assert found.status == status, (header, parameter)


def test_audiences(sidecar: Guarded) -> None:
    for audience in ("shop", ["other", "bookstore"]):
        assert sidecar.ask("audience", headers=bearer(ONE.token(aud=audience))).status == 200
    for other in ("other", None, ["a", "b"]):
        assert "Audience" in reason(sidecar.ask("audience", headers=bearer(ONE.token(aud=other))))
    assert sidecar.ask("one", headers=bearer(ONE.token(aud="whatever"))).status == 200


def test_where_tokens_are_looked_for(sidecar: Guarded) -> None:
    good, bad = ONE.token(), FOREIGN.token()
    places: dict[str, Callable[[str], dict[str, Any]]] = {
        "headers": lambda token: {"headers": {"x-token": token}},
        "params": lambda token: {"path": f"/?token={token}"},
        "cookies": lambda token: {"headers": {"cookie": f"a=b; session={token}"}},
    }
    for port, place in places.items():
        assert sidecar.ask(port, **place(good)).status == 200
        assert sidecar.ask(port, **place(bad)).status == 401
        # Elsewhere they are nobody's.
        said = sidecar.ask(port, headers=bearer(bad))
        assert said.status == 200 and said.seen is not None and "authorization" in said.seen["headers"]
    assert sidecar.ask("headers", headers={"x-pre": f"Token {bad}"}).status == 401
    said = sidecar.ask("headers", headers={"x-pre": f"Token {good}"})
    assert said.seen is not None and "x-pre" not in said.seen["headers"]


def test_what_goes_on_to_the_program(sidecar: Guarded) -> None:
    token = ONE.token()
    said = sidecar.ask("forward", headers=bearer(token))
    assert said.seen is not None and said.seen["headers"]["authorization"] == f"Bearer {token}"
    said = sidecar.ask("payload", headers=bearer(token))
    assert said.seen is not None and said.seen["headers"]["x-payload"] == token.split(".")[1]
    said = sidecar.ask("claims", headers=bearer(ONE.token(level=3, address={"city": "Bern"})))
    assert said.seen is not None
    assert {name: said.seen["headers"].get(name) for name in ("x-sub", "x-level", "x-city")} == {
        "x-sub": "alice",
        "x-level": "3",
        "x-city": "Bern",
    }


@pytest.mark.parametrize("name", ["x-sub", "X-SUB", "x_sub", "X_Sub"])
def test_headers_of_claims_that_a_caller_writes_itself_are_removed(sidecar: Guarded, name: str) -> None:
    for token in ({}, bearer(ONE.token(sub=None))):
        for method in ("GET", "OPTIONS"):
            preflight = {"origin": "http://x", "access-control-request-method": "GET"} if method == "OPTIONS" else {}
            said = sidecar.ask("claims", method=method, headers={name: "root", **preflight, **token})
            assert said.status == 200 and said.seen is not None
            assert not [value for header, value in said.seen["all"] if header.replace("_", "-") == "x-sub"]
    said = sidecar.ask("claims", headers={name: "root", **bearer(ONE.token())})
    assert said.seen is not None
    assert [v for header, v in said.seen["all"] if header.replace("_", "-") == "x-sub"] == ["alice"]
    forged = name.lower().replace("sub", "payload")
    said = sidecar.ask("payload", headers={forged: "e30"})
    assert said.seen is not None and forged not in said.seen["headers"]


def test_without_keys_no_token_is_good(sidecar: Guarded) -> None:
    assert sidecar.ask("no keys").status == 200
    assert reason(sidecar.ask("no keys", headers=bearer(ONE.token())))


def test_principals_of_requests(sidecar: Guarded) -> None:
    for token in (ONE.token(), TWO.token(sub="whoever")):
        assert sidecar.ask("who", headers=bearer(token)).status == 200
    for other in ({}, bearer(ONE.token(sub="bob")), bearer(ONE.token(sub=None))):
        assert sidecar.ask("who", headers=other).status == 403
    assert sidecar.ask("signed in").status == 403
    assert sidecar.ask("signed in", headers=bearer(ONE.token())).status == 200
    assert sidecar.ask("signed in", headers=bearer(FOREIGN.token())).status == 401


@pytest.mark.parametrize(
    ("port", "good", "bad"),
    [
        ("list", {"groups": ["dev", "admin"]}, {"groups": ["dev"]}),
        ("list", {"groups": "admin"}, {"groups": "dev admin"}),
        ("nested", {"realm": {"roles": ["admin"]}}, {"realm": {"roles": []}, "roles": ["admin"]}),
        ("scope", {"scope": "read write"}, {"scope": "read rewrite"}),
        ("spaced", {"roles": "read write"}, {"roles": "rewrite"}),
        ("unspaced", {"roles": "write"}, {"roles": "read write"}),
        ("audiences", {"aud": ["bookstore"]}, {"aud": "other"}),
        ("presenter", {"azp": "app"}, {"azp": "other"}),
    ],
)
def test_claims_in_conditions(sidecar: Guarded, port: str, good: dict[str, Any], bad: dict[str, Any]) -> None:
    assert sidecar.ask(port, headers=bearer(ONE.token(**good))).status == 200
    assert sidecar.ask(port, headers=bearer(ONE.token(**bad))).status == 403
    assert sidecar.ask(port).status == 403


@pytest.mark.parametrize("algorithm", KINDS)
def test_every_kind_of_key_checks_tokens(sidecar: Guarded, algorithm: str) -> None:
    assert sidecar.ask("kinds", headers=bearer(KINDS[algorithm].token())).status == 200
    assert sidecar.ask("kinds", headers=bearer(Issuing(algorithm, algorithm=algorithm).token())).status == 401


def test_rules_of_several_documents_count_together_in_the_order_of_their_issuers() -> None:
    assert [one.issuer for one in issuers(rule(TWO), rule(ONE), {"issuer": "a", "jwks": "{}"})] == [
        "a",
        ONE.name,
        TWO.name,
    ]
