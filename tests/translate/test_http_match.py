"""Which requests a route fits: each kind of match, asked of a real Envoy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from one_envoy import OneEnvoy, Server
from route_cases import Cases, forward, route, running
from tulle.ir.routes import HttpMatch, NamedMatch, Text, TextMatch

E, P, R, ANY = Text.EXACT, Text.PREFIX, Text.REGEX, Text.PRESENT


def _named(name: str, kind: Text, value: str = "", *, absent: bool = False) -> NamedMatch:
    return NamedMatch(name, TextMatch(kind, value), absent)


MATCHES = {
    "path-exact": HttpMatch(path=TextMatch(E, "/a")),
    "path-prefix": HttpMatch(path=TextMatch(P, "/a")),
    "path-regex": HttpMatch(path=TextMatch(R, "/a[0-9]+")),
    "path-any-case": HttpMatch(path=TextMatch(E, "/Abc", ignore_case=True)),
    "prefix-any-case": HttpMatch(path=TextMatch(P, "/Abc", ignore_case=True)),
    "method-exact": HttpMatch(method=TextMatch(E, "PUT")),
    "method-regex": HttpMatch(method=TextMatch(R, "PUT|DELETE")),
    "scheme-exact": HttpMatch(scheme=TextMatch(E, "http")),
    "scheme-other": HttpMatch(scheme=TextMatch(E, "https")),
    "authority-exact": HttpMatch(authority=TextMatch(E, "authority-exact")),
    "authority-prefix": HttpMatch(authority=TextMatch(P, "authority")),
    "authority-other": HttpMatch(authority=TextMatch(E, "elsewhere")),
    "header-exact": HttpMatch(headers=(_named("x-user", E, "ann"),)),
    "header-empty": HttpMatch(headers=(_named("x-user", E, ""),)),
    "header-prefix": HttpMatch(headers=(_named("x-user", P, "an"),)),
    "header-regex": HttpMatch(headers=(_named("x-user", R, "a.*"),)),
    "header-present": HttpMatch(headers=(_named("x-user", ANY),)),
    "without-exact": HttpMatch(headers=(_named("x-user", E, "ann", absent=True),)),
    "without-present": HttpMatch(headers=(_named("x-user", ANY, absent=True),)),
    "two-headers": HttpMatch(headers=(_named("x-user", E, "ann"), _named("x-team", E, "red"))),
    "query-exact": HttpMatch(query=(_named("v", E, "2"),)),
    "query-prefix": HttpMatch(query=(_named("v", P, "2"),)),
    "query-regex": HttpMatch(query=(_named("v", R, "[0-9]"),)),
    "query-present": HttpMatch(query=(_named("v", ANY),)),
}

ANN, BOB, EMPTY = {"x-user": "ann"}, {"x-user": "bob"}, {"x-user": ""}
ASKED: list[tuple[str, str, str, dict[str, str], bool]] = [
    ("path-exact", "GET", "/a", {}, True),
    ("path-exact", "GET", "/a?q=1", {}, True),
    ("path-exact", "GET", "/ab", {}, False),
    ("path-exact", "GET", "/A", {}, False),
    ("path-prefix", "GET", "/a", {}, True),
    ("path-prefix", "GET", "/abc", {}, True),
    ("path-prefix", "GET", "/b/a", {}, False),
    ("path-regex", "GET", "/a12", {}, True),
    ("path-regex", "GET", "/a12?x=1", {}, True),
    ("path-regex", "GET", "/a12b", {}, False),
    ("path-any-case", "GET", "/aBC", {}, True),
    ("path-any-case", "GET", "/aBCd", {}, False),
    ("prefix-any-case", "GET", "/aBCd", {}, True),
    ("method-exact", "PUT", "/", {}, True),
    ("method-exact", "POST", "/", {}, False),
    ("method-regex", "DELETE", "/", {}, True),
    ("method-regex", "GET", "/", {}, False),
    ("scheme-exact", "GET", "/", {}, True),
    ("scheme-other", "GET", "/", {}, False),
    ("authority-exact", "GET", "/", {}, True),
    ("authority-prefix", "GET", "/", {}, True),
    ("authority-other", "GET", "/", {}, False),
    ("header-exact", "GET", "/", ANN, True),
    ("header-exact", "GET", "/", BOB, False),
    ("header-exact", "GET", "/", {}, False),
    ("header-empty", "GET", "/", EMPTY, True),
    ("header-empty", "GET", "/", ANN, False),
    ("header-empty", "GET", "/", {}, False),
    ("header-prefix", "GET", "/", ANN, True),
    ("header-prefix", "GET", "/", BOB, False),
    ("header-regex", "GET", "/", ANN, True),
    ("header-regex", "GET", "/", {"x-user": "hanna"}, False),
    ("header-present", "GET", "/", BOB, True),
    ("header-present", "GET", "/", {}, False),
    ("without-exact", "GET", "/", {}, True),
    ("without-exact", "GET", "/", BOB, True),
    ("without-exact", "GET", "/", ANN, False),
    ("without-present", "GET", "/", {}, True),
    ("without-present", "GET", "/", BOB, False),
    ("two-headers", "GET", "/", {"x-user": "ann", "x-team": "red"}, True),
    ("two-headers", "GET", "/", ANN, False),
    ("query-exact", "GET", "/?v=2", {}, True),
    ("query-exact", "GET", "/?v=22", {}, False),
    ("query-prefix", "GET", "/?v=22", {}, True),
    ("query-regex", "GET", "/?v=7", {}, True),
    ("query-regex", "GET", "/?v=77", {}, False),
    ("query-present", "GET", "/?v", {}, True),
    ("query-present", "GET", "/?w=1", {}, False),
]


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneEnvoy]:
    cases: Cases = {name: (route(forward("fit"), match), route(forward("rest"))) for name, match in MATCHES.items()}
    cases["order"] = (
        route(forward("first"), HttpMatch(path=TextMatch(P, "/a/b"))),
        route(forward("fit"), HttpMatch(path=TextMatch(P, "/a"))),
        route(forward("rest")),
    )
    cases["no-default"] = (route(forward("fit"), HttpMatch(path=TextMatch(E, "/only"))),)
    servers = {name: Server(name) for name in ("fit", "rest", "first")}
    with running(tmp_path_factory.mktemp("envoy"), cases, servers) as envoy:
        yield envoy


@pytest.mark.parametrize(("case", "method", "path", "headers", "fits"), ASKED)
def test_a_match_fits_what_istio_documents(
    envoy: OneEnvoy, case: str, method: str, path: str, headers: dict[str, str], fits: bool
) -> None:
    assert _server(envoy.call(case, path, method, headers=headers)) == ("fit" if fits else "rest")


def test_the_first_route_that_fits_counts(envoy: OneEnvoy) -> None:
    assert [_server(envoy.call("order", path)) for path in ("/a/b/c", "/a/c", "/c")] == ["first", "fit", "rest"]


def test_a_call_that_no_route_fits_gets_404_and_is_told_why(envoy: OneEnvoy) -> None:
    assert _server(envoy.call("no-default", "/only")) == "fit"
    answer = envoy.call("no-default", "/other", "POST")
    assert answer.status_code == 404
    assert "no route" in answer.json()["error"]


def _server(answer: Any) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.headers["x-server"])
