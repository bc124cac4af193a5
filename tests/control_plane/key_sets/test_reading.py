"""What becomes of key sets that issuers answer."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tulle.control_plane.key_sets.reading import Unreadable, keys_uri, public_keys

RSA = json.loads(RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048)))
EC = json.loads(ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1())))
SECRET = {"kty": "oct", "k": "c2VjcmV0", "kid": "s"}


def keys(*given: object) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(public_keys(json.dumps({"keys": given}).encode()))["keys"]
    return found


def test_private_parts_and_secrets_go_no_further() -> None:
    assert "d" in RSA and "d" in EC
    found = keys(RSA, SECRET, {**EC, "kid": "b", "x5c": ["…"]})
    assert [set(key) for key in found] == [{"kty", "n", "e"}, {"kty", "crv", "x", "y", "kid"}]


def test_keys_for_encryption_and_malformed_ones_are_left_out() -> None:
    malformed = [{**RSA, "use": "enc"}, {"kty": "RSA"}, {"kty": ["RSA"]}, 1, None, {**RSA, "n": ""}]
    assert keys(*malformed, {**RSA, "use": "sig"}) == [{"kty": "RSA", "use": "sig", "n": RSA["n"], "e": RSA["e"]}]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "no JSON object"),
        (b"<html>", "no JSON object"),
        (b"[]", "no JSON object"),
        (b"[" * 100_000, "no JSON object"),
        (b'{"keys": ' + b"[" * 100_000, "no JSON object"),
        (b"\xff\xfe", "no JSON object"),
        (b"{}", "no list `keys`"),
        (b'{"keys": {}}', "no list `keys`"),
        (b'{"keys": []}', "no public key"),
        (json.dumps({"keys": [SECRET]}).encode(), "no public key"),
        (json.dumps({"keys": [RSA] * 501}).encode(), "501 keys"),
    ],
)
def test_what_is_no_set_of_public_keys_is_of_no_use(body: bytes, problem: str) -> None:
    with pytest.raises(Unreadable, match=problem):
        public_keys(body)


def test_an_issuers_description() -> None:
    assert keys_uri(b'{"jwks_uri": "https://idp/keys"}') == "https://idp/keys"
    for body in (b"{}", b'{"jwks_uri": 1}', b"no"):
        with pytest.raises(Unreadable):
            keys_uri(body)


_values = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.text(max_size=5), max_size=2)
_known = st.sampled_from(["RSA", "EC", "sig", "AQAB"])
_keys = st.dictionaries(st.sampled_from(["kty", "use", "kid", "n", "e", "crv", "x", "y", "d"]), _values | _known)


@given(st.binary() | st.fixed_dictionaries({"keys": st.lists(_keys, max_size=3)}).map(lambda v: json.dumps(v).encode()))
def test_nothing_that_is_answered_is_an_error_of_ours(body: bytes) -> None:
    try:
        found = json.loads(public_keys(body))
    except Unreadable:
        return
    assert found["keys"] and all("d" not in key for key in found["keys"])
