"""What a route does with a request that it fits: real requests through a real Envoy."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import pytest

from one_envoy import OneEnvoy, Server
from route_cases import Cases, forward, ref, route, running, to
from tulle.ir.routes import (
    Cors,
    Fault,
    HeaderOperations,
    Headers,
    HttpMatch,
    Mirror,
    Redirect,
    Respond,
    Rewrite,
    Text,
    TextMatch,
    Weighted,
)

MILLISECOND = 10**6
PREFIX = HttpMatch(path=TextMatch(Text.PREFIX, "/old"))
EXACT = HttpMatch(path=TextMatch(Text.EXACT, "/old/thing"))
REGEX = HttpMatch(path=TextMatch(Text.REGEX, "/old/.*"))
NOTHING = Weighted(None, missing="subset v9 of host reviews")


def _set(**headers: str) -> HeaderOperations:
    return HeaderOperations(set=tuple((k.replace("_", "-"), v) for k, v in headers.items()))


HEADERS = Headers(
    request=HeaderOperations(set=(("x-set", "route"),), add=(("x-add", "route"),), remove=("x-gone",)),
    response=HeaderOperations(set=(("x-server", "hidden"),), add=(("x-more", "yes"),), remove=("server",)),
)
OF_DESTINATION = Headers(request=HeaderOperations(set=(("x-dest", "one"),), add=(("x-add", "dest"),)))
ORIGINS = (TextMatch(Text.EXACT, "http://good.example"), TextMatch(Text.REGEX, r"https://.*\.good\.example"))
CORS = Cors(ORIGINS, ("GET", "PUT"), ("x-token",), ("x-seen",), 90 * 10**9, True)

CASES: Cases = {
    "weights": (route(forward(to("one", 75), to("two", 25))),),
    "weights-zero": (route(forward(to("one", 1))),),
    "unknown": (route(forward(NOTHING)),),
    "partly-unknown": (route(forward(to("one", 50), Weighted(None, 50, missing="host ghost"))),),
    "redirect-path": (route(Redirect(path="/new"), PREFIX),),
    "redirect-prefix": (route(Redirect(prefix="/new"), PREFIX),),
    "redirect-host": (route(Redirect(authority="elsewhere.example", code=302)),),
    "redirect-all": (route(Redirect("/new", "", "elsewhere.example", "https", 8443, 308)),),
    "redirect-307": (route(Redirect(path="/new", code=307)),),
    "redirect-303": (route(Redirect(path="/new", port=8081, code=303)),),
    "respond": (route(Respond(418, b"I am \xff a teapot"), headers=Headers(response=_set(content_type="x/tea"))),),
    "respond-bare": (route(Respond(204)),),
    "respond-507": (route(Respond(507, b"full")),),
    "respond-large": (route(Respond(200, b"x" * 100_000)),),
    "rewrite-prefix": (route(forward("one", rewrite=Rewrite(path="/new")), PREFIX),),
    "rewrite-exact": (route(forward("one", rewrite=Rewrite(path="/new")), EXACT),),
    "rewrite-whole": (route(forward("one", rewrite=Rewrite(path="/new")), REGEX),),
    "rewrite-authority": (route(forward("one", rewrite=Rewrite(authority="reviews.example"))),),
    "rewrite-regex": (route(forward("one", rewrite=Rewrite(regex=("/(.*)/(.*)", r"/\2/\1")))),),
    "headers": (route(forward(to("one", headers=OF_DESTINATION)), headers=HEADERS),),
    "headers-weighted": (
        route(
            forward(to("one", 1, OF_DESTINATION, "one.example"), to("two", 1, authority="two.example")), headers=HEADERS
        ),
    ),
    "mirror": (route(forward("one", mirrors=(Mirror(ref("two")), Mirror(ref("three"))))),),
    "mirror-some": (route(forward("one", mirrors=(Mirror(ref("two"), 50.0),))),),
    "cors": (route(forward("one"), cors=CORS),),
    "cors-strict": (route(forward("one"), cors=Cors(ORIGINS, forward_unmatched=False)),),
    "no-cors": (route(forward("one")),),
    "delay": (route(forward("one"), fault=Fault(delay=300 * MILLISECOND, delay_percent=100.0)),),
    "abort": (route(forward("one"), fault=Fault(abort_http=418, abort_percent=100.0)),),
    "abort-507": (route(forward("one"), fault=Fault(abort_http=507, abort_percent=100.0)),),
    "abort-some": (route(forward("one"), fault=Fault(abort_http=500, abort_percent=50.0)),),
    "abort-grpc": (route(forward("one"), fault=Fault(abort_grpc="RESOURCE_EXHAUSTED", abort_percent=100.0)),),
    "timeout": (route(forward("one", timeout=300 * MILLISECOND)),),
    "no-timeout": (route(forward("one")),),
    "named": (route(forward("one"), name="first", stat_prefix="counted"),),
}


@pytest.fixture(scope="module")
def servers() -> dict[str, Server]:
    return {name: Server(name) for name in ("one", "two", "three")}


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory, servers: dict[str, Server]) -> Iterator[OneEnvoy]:
    with running(tmp_path_factory.mktemp("envoy"), CASES, servers) as envoy:
        yield envoy


def test_weights_divide_the_requests(envoy: OneEnvoy) -> None:
    counts = Counter(envoy.call("weights").json()["server"] for _ in range(400))
    assert 240 <= counts["one"] <= 350  # 300 in the mean, 8.7 the standard deviation
    assert counts["one"] + counts["two"] == 400


def test_a_destination_that_does_not_exist_is_answered_503_that_names_the_document(envoy: OneEnvoy) -> None:
    answer = envoy.call("unknown")
    assert answer.status_code == 503
    assert answer.json()["error"] == (
        "VirtualService default/case sends the call to unknown where nothing is: subset v9 of host reviews"
    )


def test_only_the_share_of_what_does_not_exist_is_lost(envoy: OneEnvoy) -> None:
    answers = [envoy.call("partly-unknown") for _ in range(100)]
    counts = Counter(answer.status_code for answer in answers)
    assert 25 <= counts[200] <= 75
    assert counts[200] + counts[503] == 100
    assert all("host ghost" in answer.json()["error"] for answer in answers if answer.status_code == 503)


@pytest.mark.parametrize(
    ("case", "path", "code", "location"),
    [
        ("redirect-path", "/old/thing?q=1", 301, "http://redirect-path/new?q=1"),
        ("redirect-prefix", "/old/thing", 301, "http://redirect-prefix/new/thing"),
        ("redirect-host", "/a?q=1", 302, "http://elsewhere.example/a?q=1"),
        ("redirect-all", "/a", 308, "https://elsewhere.example:8443/new"),
        ("redirect-307", "/a", 307, "http://redirect-307/new"),
        ("redirect-303", "/a", 303, "http://redirect-303:8081/new"),
    ],
)
def test_a_redirect_says_where_to_go(envoy: OneEnvoy, case: str, path: str, code: int, location: str) -> None:
    answer = envoy.call(case, path)
    assert (answer.status_code, answer.headers["location"]) == (code, location)


def test_a_direct_response_is_given_as_it_was_asked_for(envoy: OneEnvoy) -> None:
    answer = envoy.call("respond", "/", "POST")
    assert (answer.status_code, answer.content) == (418, b"I am \xff a teapot")
    assert answer.headers["content-type"] == "x/tea"
    assert envoy.call("respond-bare").status_code == 204
    assert len(envoy.call("respond-large").content) == 100_000


def test_no_answer_that_was_asked_for_is_taken_for_one_of_the_sidecars_own(envoy: OneEnvoy) -> None:
    full = envoy.call("respond-507")
    assert (full.status_code, full.text) == (507, "full")
    assert envoy.call("abort-507").status_code == 507


@pytest.mark.parametrize(
    ("case", "path", "arrives"),
    [
        ("rewrite-prefix", "/old/thing?q=1", "/new/thing?q=1"),
        ("rewrite-prefix", "/older", "/newer"),
        ("rewrite-exact", "/old/thing?q=1", "/new?q=1"),
        ("rewrite-whole", "/old/thing?q=1", "/new?q=1"),
        ("rewrite-regex", "/a/b?q=1", "/b/a?q=1"),
        ("rewrite-authority", "/a", "/a"),
    ],
)
def test_a_rewrite_changes_the_path_that_arrives(envoy: OneEnvoy, case: str, path: str, arrives: str) -> None:
    assert envoy.call(case, path).json()["path"] == arrives


def test_a_rewritten_authority_arrives_as_the_host(envoy: OneEnvoy) -> None:
    assert envoy.call("rewrite-authority").json()["headers"]["host"] == "reviews.example"


def test_headers_are_set_added_and_removed_both_ways(envoy: OneEnvoy) -> None:
    answer = envoy.call("headers", headers={"x-set": "caller", "x-add": "caller", "x-gone": "1"})
    arrived = answer.json()["all"]
    assert [value for name, value in arrived if name == "x-set"] == ["route"]
    assert [value for name, value in arrived if name == "x-add"] == ["caller", "route", "dest"]
    assert [value for name, value in arrived if name == "x-dest"] == ["one"]
    assert "x-gone" not in dict(arrived)
    assert answer.headers["x-server"] == "hidden"
    assert answer.headers["x-more"] == "yes"
    assert "server" not in answer.headers


def test_headers_of_one_destination_go_to_that_one_alone(envoy: OneEnvoy) -> None:
    seen = {}
    for _ in range(60):
        asked = envoy.call("headers-weighted").json()
        seen[asked["server"]] = asked["headers"]
    assert (seen["one"]["x-dest"], seen["one"]["host"]) == ("one", "one.example")
    assert "x-dest" not in seen["two"]
    assert seen["two"]["host"] == "two.example"
    assert seen["one"]["x-set"] == seen["two"]["x-set"] == "route"


def test_mirrors_get_copies_and_the_caller_the_first_answer(envoy: OneEnvoy, servers: dict[str, Server]) -> None:
    answer = envoy.call("mirror", "/copied", "POST", content=b"the body")
    assert answer.json()["server"] == "one"
    for name in ("two", "three"):
        copy = servers[name].wait_for("/copied")[0]
        assert (copy["body"], copy["method"]) == ("the body", "POST")


def test_a_mirror_with_a_percentage_gets_its_part(envoy: OneEnvoy, servers: dict[str, Server]) -> None:
    for _ in range(200):
        envoy.call("mirror-some", "/some")
    servers["two"].wait_for("/some", 60)
    assert len(servers["two"].of("/some")) <= 140


def test_cors_lets_the_named_origins_in(envoy: OneEnvoy) -> None:
    asked = {"origin": "http://good.example", "access-control-request-method": "PUT"}
    preflight = envoy.call("cors", "/", "OPTIONS", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "http://good.example"
    assert preflight.headers["access-control-allow-methods"] == "GET,PUT"
    assert preflight.headers["access-control-allow-headers"] == "x-token"
    assert preflight.headers["access-control-max-age"] == "90"
    assert preflight.headers["access-control-allow-credentials"] == "true"
    assert "x-server" not in preflight.headers
    call = envoy.call("cors", "/", headers={"origin": "https://a.good.example"})
    assert call.headers["access-control-allow-origin"] == "https://a.good.example"
    assert call.headers["access-control-expose-headers"] == "x-seen"


def test_a_preflight_of_another_origin_goes_on_or_ends_here(envoy: OneEnvoy) -> None:
    asked = {"origin": "http://bad.example", "access-control-request-method": "PUT"}
    on = envoy.call("cors", "/", "OPTIONS", headers=asked)
    assert on.headers["x-server"] == "one"
    assert "access-control-allow-origin" not in on.headers
    ended = envoy.call("cors-strict", "/", "OPTIONS", headers=asked)
    assert "x-server" not in ended.headers
    assert "access-control-allow-origin" not in ended.headers


def test_cors_of_one_host_is_none_of_another(envoy: OneEnvoy) -> None:
    asked = {"origin": "http://good.example", "access-control-request-method": "PUT"}
    assert envoy.call("no-cors", "/", "OPTIONS", headers=asked).headers["x-server"] == "one"


def test_a_delay_holds_the_call_back(envoy: OneEnvoy) -> None:
    began = time.monotonic()
    assert envoy.call("delay").status_code == 200
    assert time.monotonic() - began >= 0.29


def test_an_abort_answers_as_the_user_said_and_nothing_arrives(envoy: OneEnvoy, servers: dict[str, Server]) -> None:
    answer = envoy.call("abort", "/aborted", "POST", content=b"x")
    assert (answer.status_code, answer.text) == (418, "fault filter abort")
    assert not servers["one"].of("/aborted")


def test_an_abort_with_a_percentage_hits_its_part(envoy: OneEnvoy) -> None:
    counts = Counter(envoy.call("abort-some").status_code for _ in range(200))
    assert 60 <= counts[500] <= 140
    assert counts[500] + counts[200] == 200


def test_a_grpc_abort_carries_its_status(envoy: OneEnvoy) -> None:
    answer = envoy.call("abort-grpc", "/", "POST", headers={"content-type": "application/grpc"})
    assert answer.headers["grpc-status"] == "8"


def test_a_timeout_ends_the_call_with_504_and_says_whose_it_is(envoy: OneEnvoy) -> None:
    answer = envoy.call("timeout", "/?sleep=2")
    assert answer.status_code == 504
    assert answer.json()["error"] == "the call to timeout took longer than VirtualService default/case allows"
    assert envoy.call("timeout", "/").status_code == 200


def test_without_a_timeout_a_call_takes_as_long_as_it_takes(envoy: OneEnvoy) -> None:
    assert envoy.call("no-timeout", "/?sleep=1").status_code == 200


def test_a_stat_prefix_counts_the_routes_requests(envoy: OneEnvoy) -> None:
    envoy.call("named")
    counted = {
        name: value for name, value in envoy.stats("route.counted").items() if name.endswith("upstream_rq_total")
    }
    assert list(counted.values()) == [1]
