"""Key sets: what is kept of them, what is left out, and that Envoy's parser says the same."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt import PyJWK
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tulle.envoy_api.binary import find
from tulle.model.key_sets import key_set


def number(value: int, length: int = 0) -> str:
    length = length or (value.bit_length() + 7) // 8
    return base64.urlsafe_b64encode(value.to_bytes(length)).rstrip(b"=").decode()


def rsa_of(bits: int, exponent: int = 65537, last: int = 1, **more: Any) -> dict[str, Any]:
    return {"kty": "RSA", "n": number(1 << (bits - 1) | last), "e": number(exponent), **more}


def ec_of(curve: ec.EllipticCurve, **more: Any) -> dict[str, Any]:
    key = ec.derive_private_key(0xC0FFEE, curve).public_key()
    return {**ECAlgorithm.to_jwk(key, as_dict=True), **more}


P256, P384, P521 = ec_of(ec.SECP256R1()), ec_of(ec.SECP384R1()), ec_of(ec.SECP521R1())
ED25519 = OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key(), as_dict=True)
OCT = {"kty": "oct", "k": "c2VjcmV0"}

USABLE: dict[str, dict[str, Any]] = {
    "RSA": RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048).public_key(), as_dict=True),
    "RSA of 512 bits": rsa_of(512),
    "RSA of 16384 bits": rsa_of(16384),
    "RSA with a small exponent": rsa_of(2048, 3),
    "RSA for PSS": rsa_of(2048, alg="PS512"),
    "RSA with an alg that is no text": rsa_of(2048, alg=3),
    "P-256": P256,
    "P-384": P384,
    "P-521": {**P521, "alg": "ES512"},
    "Ed25519": {**ED25519, "alg": "EdDSA"},
    "oct": {**OCT, "alg": "HS384"},
    "oct with padding": {**OCT, "k": "c2VjcmV0MQ=="},
}

UNUSABLE: dict[str, Any] = {
    "a number": 3,
    "no kind": {"kid": "a"},
    "a strange kind": {**P256, "kty": "DSA"},
    "RSA of 511 bits": rsa_of(511),
    "RSA of 16385 bits": rsa_of(16385),
    "RSA that is even": rsa_of(2048, last=2),
    "RSA with the exponent 1": rsa_of(2048, 1),
    "RSA with an even exponent": rsa_of(2048, 4),
    "RSA with another exponent": rsa_of(2048, 17),
    "RSA for encryption": rsa_of(2048, alg="OAEP"),
    "RSA without an exponent": {"kty": "RSA", "n": rsa_of(2048)["n"]},
    "RSA with much padding": rsa_of(2048) | {"e": "AQAB===="},
    "no point of the curve": {**P256, "y": P256["x"]},
    "another curve": {**P256, "crv": "P-384"},
    "a strange curve": {**P256, "crv": "secp256k1"},
    "another curve's alg": {**P256, "alg": "ES384"},
    "an alg of agreement": {**P256, "alg": "ECDH-ES"},
    "Ed25519 too short": {**ED25519, "x": "AAAA"},
    "Ed25519 by another alg": {**ED25519, "alg": "Ed25519"},
    "X25519": {**ED25519, "crv": "X25519"},
    "oct of another alg": {**OCT, "alg": "A128KW"},
    "oct in plain base64": {**OCT, "k": "c2Vj+/V0"},
    "oct cut short": {**OCT, "k": "c2Vjc"},
    "oct with half a padding": {**OCT, "k": "c2VjcmV0MQ="},
}


def text(*keys: Any) -> str:
    return json.dumps({"keys": keys})


def envoy_takes(*sets: str) -> bool:
    prefix = "type.googleapis.com/envoy.extensions.filters"
    providers = {f"p{n}": {"issuer": "a", "local_jwks": {"inline_string": one}} for n, one in enumerate(sets)}
    filters = [
        {
            "name": "j",
            "typed_config": {"@type": f"{prefix}.http.jwt_authn.v3.JwtAuthentication", "providers": providers},
        },
        {"name": "r", "typed_config": {"@type": f"{prefix}.http.router.v3.Router"}},
    ]
    manager = {
        "@type": f"{prefix}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "a",
        "route_config": {"name": "r"},
        "http_filters": filters,
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    chain = {"filters": [{"name": "m", "typed_config": manager}]}
    config = {"static_resources": {"listeners": [{"name": "l", "address": address, "filter_chains": [chain]}]}}
    command = [str(find().path), "--mode", "validate", "-l", "off", "--config-yaml", json.dumps(config)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


@pytest.mark.parametrize("key", USABLE.values(), ids=USABLE)
def test_a_usable_key_is_kept(key: dict[str, Any]) -> None:
    found = key_set(text(key))
    assert found.left_out == ()
    [kept] = json.loads(found.json)["keys"]
    assert {name: kept[name] for name in kept} == {name: key[name] for name in kept} and "kty" in kept


def test_envoy_takes_all_that_is_kept() -> None:
    assert envoy_takes(*(key_set(text(key)).json for key in USABLE.values()))


@pytest.mark.parametrize("key", UNUSABLE.values(), ids=UNUSABLE)
def test_a_key_that_envoy_does_not_take_is_left_out(key: Any) -> None:
    with pytest.raises(ValueError, match=r"^has no key that Envoy can use: key 0 "):
        key_set(text(key))
    assert not envoy_takes(text(key))
    found = key_set(text(key, P256))
    assert len(json.loads(found.json)["keys"]) == 1 and found.left_out[0].startswith("key 0 ")


def test_of_a_private_key_the_public_part_alone_is_kept() -> None:
    private = {**P256, "d": "c2VjcmV0", "p": "c2VjcmV0", "x5c": ["a"], "kid": "a"}
    [kept] = json.loads(key_set(text(private)).json)["keys"]
    assert kept == {**P256, "kid": "a"}
    assert PyJWK.from_dict(kept, algorithm="ES256").key_id == "a"


@pytest.mark.parametrize("jwks", ["", "{", "[]", "{}", '{"keys": {}}', '{"keys": []}', "3", "[" * 100_000, "\ud800"])
def test_what_is_no_set_of_keys_is_refused(jwks: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        key_set(jwks)


def test_a_name_that_stands_twice_is_given_to_envoy_once() -> None:
    assert envoy_takes(key_set(f'{{"keys": [], "keys": [{json.dumps(P256)}]}}').json)


VALUES = st.none() | st.integers() | st.sampled_from(["", "AQAB", "=", "P-256", "Ed25519", "ES256", "é", "A" * 43])
NAMES = st.sampled_from(["kty", "kid", "alg", "crv", "n", "e", "x", "y", "k", "d"])


@given(st.lists(st.fixed_dictionaries({"kty": st.sampled_from(["RSA", "EC", "OKP", "oct", 3])}).flatmap(
    lambda key: st.dictionaries(NAMES, VALUES).map(lambda more: {**more, **key})), max_size=3))  # fmt: skip
def test_no_set_breaks_the_reader(keys: list[dict[str, Any]]) -> None:
    try:
        found = key_set(text(*keys))
    except ValueError:
        return
    assert key_set(found.json).json == found.json
