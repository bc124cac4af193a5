"""When a request is tried again: a user's retries with all their fields, and tulle's own where nothing is said."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from one_envoy import OneEnvoy, Server, at, locality, one_envoy
from route_cases import Cases, forward, host, ref, route
from tulle.envoy_api.messages import unpack
from tulle.ir.routes import HttpMatch, Retries, Text, TextMatch
from tulle.translate import names
from tulle.translate.routes import virtual_host

MILLISECOND = 10**6
RETRIES = {
    "none": Retries(0),
    "on-5xx": Retries(2, "5xx", backoff=MILLISECOND),
    "on-codes": Retries(2, "retriable-status-codes", (418, 429), backoff=MILLISECOND),
    "on-gateway-error": Retries(1, "gateway-error", backoff=MILLISECOND),
    "on-retriable-4xx": Retries(1, "retriable-4xx", backoff=MILLISECOND),
    "on-reset": Retries(1, "reset", backoff=MILLISECOND),
    "on-grpc": Retries(2, "unavailable,cancelled", backoff=MILLISECOND),
    "per-try": Retries(1, "5xx", per_try=300 * MILLISECOND, backoff=MILLISECOND),
    "backoff": Retries(3, "5xx", backoff=200 * MILLISECOND),
}


@pytest.fixture(scope="module")
def server() -> Server:
    return Server("program")


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Iterator[OneEnvoy]:
    cases: Cases = {name: (route(forward("program", retries=retries)),) for name, retries in RETRIES.items()}
    cases["default"] = (route(forward("program")),)
    # Of several routes, each kind of method has its own list.
    only = HttpMatch(path=TextMatch(Text.EXACT, "/never"))
    cases["default-of-many"] = (
        route(forward("program"), only),
        route(forward("program", retries=Retries(0)), only),
        route(forward("program")),
    )
    clusters = {names.backend(ref("program")): [locality(at(server.port))]}
    hosts = [host(name, *routes) for name, routes in cases.items()]
    with one_envoy(tmp_path_factory.mktemp("envoy"), hosts, clusters) as envoy:
        yield envoy


@pytest.mark.parametrize(
    ("case", "method", "fault", "status", "tries"),
    [
        ("none", "GET", "status=503", 503, 1),
        ("on-5xx", "GET", "status=500", 500, 3),
        ("on-5xx", "POST", "status=500&times=2", 200, 3),
        ("on-5xx", "GET", "status=404", 404, 1),
        ("on-codes", "GET", "status=418&times=1", 200, 2),
        ("on-codes", "POST", "status=429", 429, 3),
        ("on-codes", "GET", "status=503", 503, 1),
        ("on-gateway-error", "GET", "status=503&times=1", 200, 2),
        ("on-gateway-error", "GET", "status=500", 500, 1),
        ("on-retriable-4xx", "GET", "status=409&times=1", 200, 2),
        ("on-reset", "POST", "close=1&times=1", 200, 2),
        ("on-grpc", "POST", "grpc=14&times=1", 200, 2),
        ("on-grpc", "POST", "grpc=5", 200, 1),
        ("per-try", "GET", "sleep=2&times=1", 200, 2),
        ("default", "GET", "status=503&times=1", 200, 2),
        ("default", "GET", "status=500", 500, 1),
        ("default", "POST", "status=503", 503, 1),
        ("default", "POST", "close=1", 503, 1),
        ("default", "HEAD", "close=1&times=1", 200, 2),
        ("default-of-many", "GET", "status=503&times=1", 200, 2),
        ("default-of-many", "GET", "status=500", 500, 1),
        ("default-of-many", "POST", "status=503", 503, 1),
        ("default-of-many", "POST", "close=1", 503, 1),
        ("default-of-many", "HEAD", "close=1&times=1", 200, 2),
    ],
)
def test_a_request_is_tried_again_as_its_route_says(
    envoy: OneEnvoy, server: Server, case: str, method: str, fault: str, status: int, tries: int
) -> None:
    path = f"/{case}/{method}?{fault}"
    grpc = {"content-type": "application/grpc"} if "grpc" in case else {}
    assert envoy.call(case, path, method, headers=grpc).status_code == status
    assert len(server.of(path)) == tries


def test_a_try_that_takes_too_long_counts_as_failed(envoy: OneEnvoy) -> None:
    answer = envoy.call("per-try", "/slow?sleep=2")
    assert answer.status_code == 504
    assert "UT" in answer.json()["flags"]


def test_between_tries_there_is_a_pause_that_is_drawn_by_lot(envoy: OneEnvoy, server: Server) -> None:
    """Up to the base interval before the first retry, twice and four times that later: nearly surely some of it."""
    began = time.monotonic()
    for turn in range(3):
        envoy.call("backoff", f"/pause/{turn}?status=500")
        assert len(server.of(f"/pause/{turn}?status=500")) == 4
    assert time.monotonic() - began >= 0.1


def test_the_question_who_answered_never_reaches_the_program(envoy: OneEnvoy, server: Server) -> None:
    for case in ("default", "default-of-many", "on-5xx"):
        envoy.call(case, f"/asked/{case}", headers={names.EXPLAIN_HEADER: "1"})
        assert names.EXPLAIN_HEADER not in server.of(f"/asked/{case}")[0]["headers"]


def test_of_many_routes_too_each_tells_who_answered() -> None:
    """That what is told is proved takes mutual TLS: tests/e2e/test_discovery.py."""
    only = HttpMatch(path=TextMatch(Text.EXACT, "/a"))
    many = virtual_host(host("many", route(forward("program"), only), route(forward("program")))).matcher
    assert sorted(many.matcher_tree.exact_match_map.map) == ["GET", "HEAD", "OPTIONS"]
    entries = unpack(many.matcher_tree.exact_match_map.map["GET"].action.typed_config).routes
    told = [[change.header.key for change in entry.response_headers_to_add] for entry in entries]
    assert told == [[names.PEER_HEADER], [], [names.PEER_HEADER], []]


@pytest.mark.parametrize("ignore", [True, False])
def test_a_retry_may_leave_out_hosts_that_failed(tmp_path: Path, ignore: bool) -> None:
    bad, good = Server("bad"), Server("good")
    retries = Retries(1, "gateway-error", backoff=MILLISECOND, ignore_previous_hosts=ignore)
    cluster = {names.backend(ref("pair")): [locality(at(bad.port), at(good.port))]}
    failing = "/?status=503"  # both fail: what is looked at is where the second try goes
    with one_envoy(tmp_path, [host("pair", route(forward("pair", retries=retries)))], cluster) as envoy:
        for _ in range(20):
            envoy.call("pair", failing)
            envoy.call("pair", "/ok")
        assert len(bad.of(failing)) + len(good.of(failing)) == 40
        if ignore:
            assert len(bad.of(failing)) == len(good.of(failing)) == 20


def test_a_retry_may_prefer_other_localities(tmp_path: Path) -> None:
    near, far = Server("near"), Server("far")
    localities = [locality(at(near.port)), locality(at(far.port), priority=1)]
    clusters = {names.backend(ref("places")): localities}
    on = "gateway-error"
    hosts = [
        host("places", route(forward("places", retries=Retries(3, on, backoff=MILLISECOND, remote_localities=True)))),
        host("places-here", route(forward("places", retries=Retries(3, on, backoff=MILLISECOND)))),
    ]
    with one_envoy(tmp_path, hosts, clusters) as envoy:
        envoy.call("places-here", "/here?status=503")
        assert not far.of("/here?status=503")
        envoy.call("places", "/away?status=503")
        assert far.of("/away?status=503")
