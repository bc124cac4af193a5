"""A user's token as text: whatever else is sent in its place is refused, and nothing of it is repeated."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tulle.model.api_token import MAX_SIZE, PREFIX, ApiToken, NoApiToken, decode, encode

GOOD = ApiToken("ada", "s" * 43, ("10.0.0.1:7443", "[fd00::1]:7443"), ("ab" * 32,))
FIELDS = {"at": list(GOOD.addresses), "ca": list(GOOD.fingerprints), "user": GOOD.user, "secret": GOOD.secret}


def written(fields: object) -> str:
    return PREFIX + base64.urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")


def test_what_is_written_is_read() -> None:
    assert decode(encode(GOOD)) == decode(written(FIELDS)) == GOOD
    assert GOOD.secret not in repr(GOOD)


@pytest.mark.parametrize(
    "changes",
    [
        {"user": "Ada"},
        {"user": "ada.x"},
        {"user": "ada\n"},
        {"user": ["ada"]},
        {"user": None},
        {"secret": "s" * 42},
        {"secret": "s" * 42 + "."},
        {"secret": 1},
        {"ca": []},
        {"ca": ["AB" * 32]},
        {"ca": "ab" * 32},
        {"at": ["10.0.0.1"]},
        {"at": ["http://10.0.0.1:7443"]},
        {"at": ["10.0.0.1:7443\r\nX: y"]},
        {"at": ["10.0.0.1:7443"] * 9},
        {"at": {}},
    ],
    ids=str,
)
def test_what_is_wrong_makes_it_none(changes: dict[str, object]) -> None:
    with pytest.raises(NoApiToken):
        decode(written({**FIELDS, **changes}))


@given(st.one_of(st.text(), st.text().map(PREFIX.__add__), st.binary().map(lambda raw: PREFIX + raw.decode("latin-1"))))
def test_any_text_is_a_token_or_refused(text: str) -> None:
    with pytest.raises(NoApiToken):
        decode(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*FIELDS, "x"]), inner),
        max_leaves=10,
    )
)
def test_any_json_is_a_token_or_refused(fields: Any) -> None:
    given_fields = {**FIELDS, **fields} if isinstance(fields, dict) else fields
    try:
        token = decode(written(given_fields))
    except NoApiToken:
        return
    assert decode(encode(token)) == token


@pytest.mark.parametrize("text", ["[" * 2000, "9" * 3000, '{"user":' * 300], ids=["deep", "a number", "objects"])
def test_what_no_parser_likes_is_refused(text: str) -> None:
    token = PREFIX + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    assert len(token) <= MAX_SIZE
    with pytest.raises(NoApiToken):
        decode(token)


@given(st.integers(0, len(encode(GOOD)) - 1), st.characters())
def test_a_damaged_token_is_refused_or_another_and_its_error_repeats_nothing(at: int, character: str) -> None:
    text = encode(GOOD)
    try:
        decode(text[:at] + character + text[at + 1 :])
    except NoApiToken as error:
        assert GOOD.secret[:8] not in str(error)
        assert text[20:40] not in str(error)
