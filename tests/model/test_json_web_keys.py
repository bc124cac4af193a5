"""Which keys are of use: a set without any would be refused by Envoy, with the whole listener."""

from __future__ import annotations

import json
from typing import Any

import pytest

from issuing import Issuing
from tulle.model.json_web_keys import has_keys, is_usable

EC, RSA = Issuing("a").jwk, Issuing("a", algorithm="RS256").jwk
ED = Issuing("a", algorithm="EdDSA").jwk


@pytest.mark.parametrize("key", [EC, RSA, ED, {"kty": "oct", "k": "c2VjcmV0"}, {**RSA, "alg": "PS512"}])
def test_a_key_that_is_of_use(key: dict[str, Any]) -> None:
    assert is_usable(key) and is_usable({name: value for name, value in key.items() if name != "alg"})


@pytest.mark.parametrize(
    "key",
    [
        {},
        [],
        None,
        {**EC, "x": EC["y"]},  # no point of the curve
        {**EC, "x": "!!!"},
        {**EC, "x": 7},
        {**EC, "crv": "secp256k1"},
        {**EC, "crv": "P-384"},
        {**EC, "alg": "RS256"},
        {**EC, "alg": "none"},
        {**EC, "kid": 1},
        {**ED, "crv": "X25519"},
        {**ED, "x": "AAAA"},
        {**RSA, "n": "AQAB"},  # anybody finds out the private key
        {**RSA, "n": "_" * 4000},  # larger than BoringSSL takes
        {**RSA, "e": "Ag"},
        {**RSA, "e": "_____________"},
        {**RSA, "alg": "HS256"},
        {**RSA, "alg": ""},
        {"kty": "RSA"},
        {"kty": "oct", "k": ""},
        {"kty": "oct", "k": "c2VjcmV0", "alg": "RS256"},
    ],
)
def test_a_key_that_is_of_none(key: object) -> None:
    assert not is_usable(key)
    assert has_keys(json.dumps({"keys": [key, EC]})) and not has_keys(json.dumps({"keys": [key]}))


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"keys": {}}', '{"keys": []}', json.dumps(EC), "[" * 100_000])
def test_what_is_no_set_has_none(text: str) -> None:
    assert not has_keys(text)
