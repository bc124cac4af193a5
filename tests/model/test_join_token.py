"""Join tokens as text: what is read is what was written, and anything else is refused in words that repeat nothing of it."""

from __future__ import annotations

import base64
import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tulle.model.join_token import (
    MAX_SIZE,
    PREFIX,
    JoinToken,
    NoJoinToken,
    decode,
    encode,
    is_evidence,
    parsed_address,
    written_address,
)

TOKEN = JoinToken(("10.0.0.1:7443", "[fd00::1]:7443", "mesh.example.com:7443"), ("a" * 64,), "3fa2c19b07", "S" * 43)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["at", "ca", "id", "secret"]), inner),
    max_leaves=10,
)


def packed(content: bytes) -> str:
    return PREFIX + base64.urlsafe_b64encode(content).decode().rstrip("=")


def test_a_token_is_one_word_that_needs_no_quotes() -> None:
    text = encode(TOKEN)
    assert text.replace(".", "").replace("-", "").replace("_", "").isalnum()
    assert decode(text) == TOKEN


def test_a_token_may_be_without_a_secret() -> None:
    where = JoinToken(TOKEN.addresses, TOKEN.fingerprints)
    assert decode(encode(where)) == where
    assert where.evidence == ""


def test_a_secret_is_not_in_what_is_printed() -> None:
    assert TOKEN.secret not in repr(TOKEN)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"at": []}, "no address"),
        ({"at": "10.0.0.1:7443"}, "no address"),
        ({"at": ["10.0.0.1"]}, "no address"),
        ({"at": ["10.0.0.1:0"]}, "no address"),
        ({"at": ["10.0.0.1:7443"] * 9}, "no address"),
        ({"ca": []}, "no fingerprint"),
        ({"ca": ["A" * 64]}, "no fingerprint"),
        ({"ca": ["a" * 63]}, "no fingerprint"),
        ({"secret": "S" * 42}, "secret is damaged"),
        ({"secret": ""}, "secret is damaged"),
        ({"id": ""}, "secret is damaged"),
        ({"id": "a/b"}, "secret is damaged"),
        ({"id": 7}, "secret is damaged"),
    ],
)
def test_what_is_wrong_with_a_token_is_said(changes: dict[str, object], error: str) -> None:
    fields = {"at": ["10.0.0.1:7443"], "ca": ["a" * 64], "id": "abc", "secret": "S" * 43, **changes}
    with pytest.raises(NoJoinToken, match=error):
        decode(packed(json.dumps(fields).encode()))


@pytest.mark.parametrize(
    "text", ["", "tulle1.", "tulle2.abc", PREFIX + "[" * 9, packed(b"[" * 2900), "x" * (MAX_SIZE + 1)]
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(NoJoinToken):
        decode(text)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(), st.text().map(lambda t: PREFIX + t), st.binary().map(packed)))
def test_any_text_is_a_token_or_refused(text: str) -> None:
    with contextlib.suppress(NoJoinToken):
        assert isinstance(decode(text), JoinToken)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["at", "ca", "id", "secret"]), JSON))
def test_any_json_is_a_token_or_refused(fields: dict[str, object]) -> None:
    try:
        token = decode(packed(json.dumps(fields).encode()))
    except NoJoinToken:
        return
    assert decode(encode(token)) == token


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(encode(TOKEN)) - 1), st.characters(max_codepoint=0x2FF))
def test_a_damaged_token_is_refused_or_another_and_its_error_repeats_nothing(at: int, character: str) -> None:
    text = encode(TOKEN)
    try:
        decode(text[:at] + character + text[at + 1 :])
    except NoJoinToken as error:
        assert TOKEN.secret not in str(error)


@given(st.text())
def test_any_text_is_evidence_or_not(text: str) -> None:
    assert not is_evidence(text) or len(text) < 80


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("10.0.0.1:7443", ("10.0.0.1", 7443)),
        ("[fd00::1]:7443", ("fd00::1", 7443)),
        ("mesh.example.com:1", ("mesh.example.com", 1)),
        ("fd00::1:7443", None),
        ("[10.0.0.1]:7443", None),
        ("10.0.0:7443", None),
        ("-a:1", None),
        ("a b:1", None),
        ("a:65536", None),
        ("a:\u0661", None),
        ("[fe80::1%eth0]:1", None),
        (":1", None),
    ],
)
def test_addresses(text: str, parsed: tuple[str, int] | None) -> None:
    assert parsed_address(text) == parsed
    if parsed:
        assert written_address(*parsed) == text
