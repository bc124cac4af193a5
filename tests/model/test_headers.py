"""What of headers may be seen."""

from __future__ import annotations

import pytest

from tulle.model.headers import LONGEST_NAME, LONGEST_VALUE, MORE, MOST, MOST_BYTES, shown, shown_again

TOKEN = "tulleapi1.eyJhdCI6W10sImNhIjpbXX0"


@pytest.mark.parametrize(
    "name",
    [
        *("authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "X-Auth-Token", "apikey"),
        *("x-csrf-token", "x-amz-security-token", "private-token", "x-session-id", "x-goog-iap-jwt-assertion"),
        *("x-client-secret", "x-db-password", "x-hub-signature-256", "ocp-apim-subscription-key", "dpop", "sid"),
        *("authentication-info", "x-forwarded-access-token", "x_api_key"),
    ],
)
def test_of_what_is_secret_the_length_alone_is_told(name: str) -> None:
    assert shown({name: "s3cr3t-value"}) == {name: "<redacted, 12 bytes>"}


@pytest.mark.parametrize(
    "value",
    [
        *("Bearer abcdefgh", "basic dXNlcjpwYXNz", "x=eyJhbGciOiJFUzI1NiJ9.e30.sig", TOKEN, "AKIAIOSFODNN7EXAMPLE"),
        *("ghp_0123456789abcdefghij", "sk-0123456789abcdefghij", "-----BEGIN PRIVATE KEY-----", "eyJzdWIiOiIxIn0"),
    ],
)
def test_a_secret_is_noticed_under_any_name(value: str) -> None:
    assert shown({"x-note": value}) == {"x-note": f"<redacted, {len(value)} bytes>"}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("/cb?code=123#token", "/cb?<redacted, 14 bytes>"),
        ("https://ann:pw@shop/cb#access=1", "https://<redacted>@shop/cb#<redacted, 8 bytes>"),
        ("</next?page=2&k=1>; rel=next", "</next?<redacted, 10 bytes>>; rel=next"),
        ("what? nothing", "what? nothing"),
    ],
)
def test_queries_of_addresses_are_not_told(value: str, told: str) -> None:
    assert shown({"location": value}) == {"location": told}


def test_what_is_no_secret_is_told() -> None:
    plain = {
        "accept": "text/html;q=0.9, */*",
        "access-control-allow-credentials": "true",
        "content-type": "application/json",
        "idempotency-key": "1234",
        "sec-websocket-key": "dGhlIHNhbXBsZQ==",
        "user-agent": "curl/8.5",
        "x-forwarded-client-cert": "By=spiffe://cluster.local/ns/default/sa/b;URI=spiffe://cluster.local/ns/default/sa/a",
        "x-request-id": "91e2fbef-047c-4230-8f56-a42246ac94f4",
    }
    assert shown(plain) == plain


def test_the_path_with_its_query_and_its_like_are_not_among_them() -> None:
    assert shown({":path": "/a?secret=1", ":method": "GET", "a": "1"}) == {"a": "1"}


def test_they_are_few_and_short_and_harmless_to_a_terminal() -> None:
    told = shown({f"x-{number:03}": "v" for number in range(100)} | {"a" * 300: "\x1b[31m\u00e4" + 1000 * "x"})
    assert list(told)[-1] == MORE and told[MORE] == f"{101 - MOST} headers are left out"
    name, value = next(iter(told.items()))
    assert (name, value.endswith(" <cut, 1007 bytes in all>")) == ("a" * LONGEST_NAME, True)
    assert value.startswith("?[31m?xx") and len(value) < LONGEST_VALUE + 50
    wide = shown({f"x-{number}": 400 * "v" for number in range(50)})
    assert sum(len(name) + len(value) for name, value in wide.items()) < MOST_BYTES + 100 and MORE in wide


@pytest.mark.parametrize("odd", [None, "-", [], 5, {}])
def test_what_is_no_headers_is_none(odd: object) -> None:
    assert shown(odd) == {}


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer abcdefgh", "x-note": "Basic dXNlcjpwYXNz", "accept": "*/*"},
        {"location": "https://ann:pw@shop/cb?a=1#access=1", "link": "</next?page=2>; rel=next"},
        {"x": "v" * 3000, "y": "/a?" + "v" * 3000, "z": "\u00e4" * 501, "x-what": " <cut, 1 bytes in all>"},
        {f"x-{number:03}": "v" for number in range(100)},
        {f"x-{number}": 400 * "v" for number in range(50)},
        {},
    ],
)
def test_what_was_shown_is_shown_again_as_it_is(headers: dict[str, str]) -> None:
    told = shown(headers)
    assert shown_again(told) == told and list(shown_again(told)) == list(told)


def test_what_somebody_only_says_to_have_shown_is_shown_by_us() -> None:
    bare = {"cookie": "<redacted, 3 bytes> a=1", "x": "Bearer abcdefgh <cut, 9 bytes in all>", MORE: "Bearer abcdefgh"}
    assert shown_again(bare) == {"cookie": "<redacted, 23 bytes>", "x": "<redacted, 37 bytes>"}
