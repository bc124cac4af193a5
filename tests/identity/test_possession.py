"""The proof that an enrolment's sender holds a key: whatever is sent in its place is refused, in a moment."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa, x448
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from tulle.identity.possession import NotProved, Proof, digest_of_key, proved_key
from tulle.model.possession import statement

KEY = ec.generate_private_key(ec.SECP256R1())
ASKED = ("web-3fa2c1", "a request", "another")


def der(key: object) -> bytes:
    encoded: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return encoded


def proof(key: bytes, signature: bytes) -> Proof:
    return Proof(base64.b64encode(key).decode(), base64.b64encode(signature).decode())


def signed(key: ec.EllipticCurvePrivateKey, *asked: str) -> Proof:
    return proof(der(key), key.sign(statement(*asked), ec.ECDSA(hashes.SHA256())))


def test_who_has_signed_these_requests_holds_the_key() -> None:
    assert proved_key(signed(KEY, *ASKED), *ASKED) == digest_of_key(KEY.public_key())
    assert proved_key(Proof(), *ASKED) == ""


@pytest.mark.parametrize("at", range(3))
def test_a_proof_is_for_one_request_and_replayed_with_no_other(at: int) -> None:
    other = tuple("changed" if number == at else text for number, text in enumerate(ASKED))
    with pytest.raises(NotProved):
        proved_key(signed(KEY, *ASKED), *other)


def test_texts_can_not_be_moved_from_one_part_to_the_next() -> None:
    assert statement("web", "ab", "c") != statement("web", "a", "bc") != statement("weba", "b", "c")


@pytest.mark.parametrize(
    "make",
    [
        lambda: der(rsa.generate_private_key(65537, 2048)),
        lambda: der(dsa.generate_private_key(2048)),
        lambda: der(ed25519.Ed25519PrivateKey.generate()),
        lambda: der(x448.X448PrivateKey.generate()),
        lambda: der(ec.generate_private_key(ec.SECP192R1())),
        lambda: der(ec.generate_private_key(ec.BrainpoolP256R1())),
        lambda: der(ec.generate_private_key(ec.SECP256R1())),
        lambda: der(KEY)[:-1],
        lambda: der(KEY)[:-1] + b"\0",
        lambda: b"",
    ],
    ids=["RSA", "DSA", "Ed25519", "X448", "P-192", "Brainpool", "another", "cut off", "no point", "nothing"],
)
def test_another_key_proves_nothing(make: Callable[[], bytes]) -> None:
    right = KEY.sign(statement(*ASKED), ec.ECDSA(hashes.SHA256()))
    with pytest.raises(NotProved):
        proved_key(proof(make(), right), *ASKED)


@given(
    st.one_of(st.just(der(KEY)), st.binary(max_size=200)),
    st.one_of(st.binary(max_size=100), st.just(bytes.fromhex("3006020100020100"))),
)
def test_any_bytes_are_no_signature(key: bytes, signature: bytes) -> None:
    """(0, 0) is the signature that careless implementations of ECDSA take for every text."""
    if key or signature:
        with pytest.raises(NotProved):
            proved_key(proof(key, signature), *ASKED)


@given(st.text(max_size=2000), st.text(max_size=2000))
def test_any_text_is_no_proof(key: str, signature: str) -> None:
    if key or signature:
        with pytest.raises(NotProved):
            proved_key(Proof(key, signature), *ASKED)


@settings(deadline=None)
@given(st.booleans(), st.integers(0, 1_000), st.integers(1, 255))
def test_a_damaged_proof_is_refused_or_proves_the_same_key(of_key: bool, at: int, change: int) -> None:
    right = signed(KEY, *ASKED)
    parts = [bytearray(der(KEY)), bytearray(base64.b64decode(right.signature))]
    part = parts[0] if of_key else parts[1]
    part[at % len(part)] ^= change
    began = time.monotonic()
    try:
        found = proved_key(proof(bytes(parts[0]), bytes(parts[1])), *ASKED)
    except NotProved:
        found = digest_of_key(KEY.public_key())
    assert found == digest_of_key(KEY.public_key())
    assert time.monotonic() - began < 5
