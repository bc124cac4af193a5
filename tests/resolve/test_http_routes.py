"""A VirtualService's HTTP routes as one caller has them."""

from __future__ import annotations

from typing import Any

import msgspec

from tulle.ir.routes import BackendRef, Forward, HttpMatch, HttpRoute, Mirror, Redirect, Respond, Retries, Rewrite, Text
from tulle.model.names import Destination, ServiceName, service_of
from tulle.model.resources.resource import Ref, Resource
from tulle.model.resources.virtual_service import VirtualService
from tulle.resolve.callers import Caller
from tulle.resolve.http_routes import http_routes

CALLER = Caller("shop", (("app", "cart"), ("version", "v2")))
REVIEWS = Destination(ServiceName("default", "reviews"), 9080)
SECOND = 10**9


class Town:
    """Two services: `reviews` with one port and the subset v1, `ratings` with two ports; and VirtualServices to delegate to."""

    def __init__(self, **delegates: VirtualService) -> None:
        self.delegates = delegates
        self.ports = {ServiceName("default", "reviews"): (9080,), ServiceName("default", "ratings"): (80, 90)}

    def destination(self, host: str, namespace: str, port: int | None, listener_port: int) -> Destination | None:
        service = service_of(host) if "." in host else ServiceName(namespace, host)
        ports = self.ports.get(service, ())
        number = port or (ports[0] if len(ports) == 1 else listener_port)
        return Destination(service, number) if number in ports else None

    def has_subset(self, destination: Destination, subset: str) -> bool:
        return destination.service.name == "reviews" and subset == "v1"

    def delegate(self, namespace: str, name: str, root_namespace: str) -> Resource | None:
        spec = self.delegates.get(f"{namespace}_{name}")
        return Resource(Ref("VirtualService", namespace, name), spec) if spec else None


def _service(*http: dict[str, Any], **fields: Any) -> VirtualService:
    return msgspec.convert({"http": list(http), **fields}, VirtualService)


def _routes(*http: dict[str, Any], port: int = 80, town: Town | None = None, **fields: Any) -> tuple[HttpRoute, ...]:
    town = town or Town()
    spec = _service(*http, hosts=["reviews"], **fields)
    return http_routes(spec, Ref("VirtualService", "default", "reviews"), CALLER, port, town, town)


def _to(host: str = "reviews", **fields: Any) -> dict[str, Any]:
    return {"destination": {"host": host, **fields}}


def _forward(route: HttpRoute) -> Forward:
    assert isinstance(route.action, Forward)
    return route.action


def _names(routes: tuple[HttpRoute, ...]) -> list[str]:
    return [route.name for route in routes]


def test_each_match_is_a_route_of_its_own_in_order() -> None:
    matches = [{"name": "a", "uri": {"prefix": "/a"}, "statPrefix": "as"}, {"name": "b", "uri": {"exact": "/b"}}]
    found = _routes({"name": "r", "match": matches, "route": [_to()]}, {"name": "rest", "route": [_to()]})
    assert _names(found) == ["r.a", "r.b", "rest"]
    assert [route.match.path and route.match.path.kind for route in found] == [Text.PREFIX, Text.EXACT, None]
    assert found[0].stat_prefix == "as"
    assert found[0].source == "VirtualService default/reviews"
    assert _forward(found[0]).backends[0].backend == BackendRef(REVIEWS)


def test_nothing_comes_after_a_route_that_fits_all() -> None:
    everything = [{"uri": {"prefix": "/a"}}, {"name": "all", "uri": {"prefix": "/"}}, {"name": "never"}]
    assert _names(_routes({"match": everything, "route": [_to()]}, {"name": "never", "route": [_to()]})) == ["", ".all"]
    one = {"name": "one", "match": [{"uri": {"regex": ".*"}}], "route": [_to()]}
    assert _names(_routes(one, {"name": "never", "route": [_to()]})) == ["one"]


def test_what_is_known_of_the_caller_is_decided_beforehand() -> None:
    def taken(**match: Any) -> bool:
        return bool(_routes({"match": [{**match, "uri": {"prefix": "/a"}}], "route": [_to()]}))

    assert taken(sourceLabels={"app": "cart"})
    assert not taken(sourceLabels={"app": "cart", "version": "v1"})
    assert taken(sourceNamespace="shop")
    assert not taken(sourceNamespace="default")
    assert taken(port=80)
    assert not taken(port=81)
    assert taken(gateways=["mesh"], sourceLabels={"app": "other"})  # Istio: gateways override the labels
    assert not taken(gateways=["door"])


def test_a_service_of_gateways_alone_has_no_route_here() -> None:
    assert not _routes({"route": [_to()]}, gateways=["door"])
    assert _routes({"route": [_to()]}, gateways=["door", "mesh"])


def test_matches_of_headers_and_queries_keep_istios_meanings() -> None:
    match = {
        "uri": {"exact": "/A"},
        "ignoreUriCase": True,
        "method": {"exact": "GET"},
        "headers": {"b": {"exact": ""}, "a": {}},
        "withoutHeaders": {"c": {"regex": "*"}},
        "queryParams": {"q": {"regex": "[0-9]+"}},
    }
    [found] = _routes({"match": [match], "route": [_to()]})
    assert found.match.path is not None
    assert found.match.path.ignore_case
    seen = [(named.name, named.match.kind, named.match.value, named.absent) for named in found.match.headers]
    assert seen == [("a", Text.PRESENT, "", False), ("b", Text.EXACT, "", False), ("c", Text.PRESENT, "", True)]
    assert [(named.name, named.match.kind) for named in found.match.query] == [("q", Text.REGEX)]


def test_weights_of_zero_get_nothing_and_a_single_destination_needs_none() -> None:
    [many] = _routes({"route": [{**_to(), "weight": 3}, {**_to("ratings"), "weight": 0}, {**_to(), "weight": 1}]})
    assert [weighted.weight for weighted in _forward(many).backends] == [3, 1]
    [single] = _routes({"route": [{**_to(), "weight": 0}]})
    assert [weighted.weight for weighted in _forward(single).backends] == [1]


def test_a_destination_without_a_port_has_the_only_one_or_that_of_the_call() -> None:
    found = _routes({"route": [{**_to(), "weight": 1}, {**_to("ratings"), "weight": 1}]}, port=90)
    backends = [weighted.backend for weighted in _forward(found[0]).backends]
    assert [backend.destination.port if backend else 0 for backend in backends] == [9080, 90]


def test_what_does_not_exist_keeps_its_share_and_spoils_nothing_else() -> None:
    parts = [_to(), _to("ghost", port={"number": 81}), _to(subset="v9"), _to(subset="v1")]
    [found] = _routes({"route": [{**part, "weight": 25} for part in parts]})
    backends = _forward(found).backends
    assert [weighted.backend is not None for weighted in backends] == [True, False, False, True]
    assert [weighted.missing for weighted in backends] == ["", "host ghost:81", "subset v9 of host reviews", ""]
    assert [weighted.weight for weighted in backends] == [25] * 4


def test_a_mirror_to_nobody_or_of_nothing_is_none() -> None:
    reviews = {"host": "reviews"}
    [all_] = _routes({"route": [_to()], "mirror": reviews})
    assert _forward(all_).mirrors == (Mirror(BackendRef(REVIEWS), 100.0),)
    [some] = _routes({"route": [_to()], "mirror": reviews, "mirrorPercent": 7, "mirrorPercentage": {"value": 0.5}})
    assert [mirror.percent for mirror in _forward(some).mirrors] == [0.5]
    [none] = _routes({"route": [_to()], "mirror": reviews, "mirrorPercent": 0})
    assert not _forward(none).mirrors
    mirrors = [{"destination": {"host": "ghost"}}, {"destination": reviews, "percentage": {"value": 3}}]
    [several] = _routes({"route": [_to()], "mirrors": mirrors})
    assert _forward(several).mirrors == (Mirror(BackendRef(REVIEWS), 3.0),)


def test_retries_are_completed_as_istio_completes_them() -> None:
    def retries(**fields: Any) -> Retries | None:
        return _forward(_routes({"route": [_to()], "retries": fields})[0]).retries

    assert _forward(_routes({"route": [_to()]})[0]).retries is None
    assert retries(attempts=0, retryOn="5xx") == Retries(0)
    default = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
    assert retries(attempts=2) == Retries(2, default, (503,))
    assert retries(attempts=1, retryOn="gateway-error, 503 ,418,,429,999") == Retries(
        1, "gateway-error,999,retriable-status-codes", (418, 429, 503)
    )
    assert retries(attempts=1, retryOn="5xx", perTryTimeout="2s", backoff="10ms") == Retries(
        1, "5xx", (), 2 * SECOND, SECOND // 100
    )
    assert retries(attempts=1, retryOn="5xx", retryIgnorePreviousHosts=False, retryRemoteLocalities=True) == Retries(
        1, "5xx", ignore_previous_hosts=False, remote_localities=True
    )


def test_a_timeout_of_nothing_is_none() -> None:
    timeouts = [_forward(_routes({"route": [_to()], **part})[0]).timeout for part in ({}, {"timeout": "0s"})]
    assert timeouts == [None, None]
    assert _forward(_routes({"route": [_to()], "timeout": "1.5s"})[0]).timeout == SECOND * 3 // 2


def test_a_redirects_port_is_left_out_where_it_is_the_schemes_own() -> None:
    def redirect(called: int = 80, **fields: Any) -> Redirect:
        [found] = _routes({"redirect": fields}, port=called)
        assert isinstance(found.action, Redirect)
        return found.action

    assert redirect(uri="/new") == Redirect(path="/new")
    assert redirect(derivePort="FROM_REQUEST_PORT").port is None
    assert redirect(8080, derivePort="FROM_REQUEST_PORT").port == 8080
    assert redirect(8080, derivePort="FROM_PROTOCOL_DEFAULT").port is None
    assert redirect(scheme="https", port=443).port is None
    assert redirect(scheme="https", port=80).port == 80
    assert redirect(redirectCode=308, authority="x", scheme="https") == Redirect("", "", "x", "https", None, 308)


def test_a_direct_responses_body_is_text_or_bytes() -> None:
    bodies = [{}, {"body": {"string": "é"}}, {"body": {"bytes": "/wA="}}]
    found = [_routes({"directResponse": {"status": 418, **body}})[0].action for body in bodies]
    assert found == [Respond(418), Respond(418, "é".encode()), Respond(418, b"\xff\x00")]


def test_a_host_that_is_set_rewrites_the_authority() -> None:
    def rewrite(route: dict[str, Any]) -> Rewrite:
        return _forward(_routes(route)[0]).rewrite

    headers = {"headers": {"request": {"set": {"Host": "set", "x-a": "1"}, "add": {":authority": "add"}}}}
    of_destination = {**_to(), "headers": {"request": {"set": {"host": "dest"}}}}
    assert rewrite({"route": [_to()], **headers}).authority == "set"
    assert rewrite({"route": [of_destination]}).authority == "dest"
    assert rewrite({"route": [of_destination], **headers}).authority == "set"
    assert rewrite({"route": [of_destination], **headers, "rewrite": {"authority": "first"}}).authority == "first"
    [found] = _routes({"route": [_to()], **headers})
    assert found.headers.request.set == (("x-a", "1"),)
    assert found.headers.request.add == ()


def test_a_fault_that_never_happens_is_none() -> None:
    def percents(fault: dict[str, Any]) -> tuple[float, float] | None:
        found = _routes({"route": [_to()], "fault": fault})[0].fault
        return (found.delay_percent, found.abort_percent) if found else None

    assert percents({"delay": {"fixedDelay": "1s"}, "abort": {"httpStatus": 500}}) is None
    assert percents({"delay": {"fixedDelay": "1s", "percent": 5}}) == (5.0, 0.0)
    assert percents({"abort": {"grpcStatus": "ABORTED", "percentage": {"value": 0.1}}}) == (0.0, 0.1)


def test_allow_origin_counts_where_allow_origins_is_not_given() -> None:
    [found] = _routes({"route": [_to()], "corsPolicy": {"allowOrigin": ["a"], "maxAge": "1m"}})
    assert found.cors is not None
    assert [(origin.kind, origin.value) for origin in found.cors.origins] == [(Text.EXACT, "a")]
    assert found.cors.max_age == 60 * SECOND
    assert found.cors.forward_unmatched
    policy = {"allowOrigin": ["a"], "allowOrigins": [{"prefix": "b"}], "unmatchedPreflights": "IGNORE"}
    [both] = _routes({"route": [_to()], "corsPolicy": policy})
    assert both.cors is not None
    assert [origin.value for origin in both.cors.origins] == ["b"]
    assert not both.cors.forward_unmatched


ROOT = {"name": "root", "match": [{"uri": {"prefix": "/shop"}, "headers": {"x": {"exact": "1"}}}], "timeout": "1s"}


def _delegated(root: dict[str, Any], *parts: dict[str, Any], **fields: Any) -> tuple[HttpRoute, ...]:
    town = Town(other_part=_service(*parts, **fields))
    return _routes({**root, "delegate": {"name": "part", "namespace": "other"}}, town=town)


def test_a_delegates_routes_stand_in_the_roots_place_within_its_match() -> None:
    inner = {
        "name": "cart",
        "match": [{"uri": {"prefix": "/shop/cart"}}],
        "route": [_to("reviews.default.svc.cluster.local")],
    }
    rest = {"route": [_to("reviews")]}
    found = _delegated(ROOT, inner, rest)
    assert _names(found) == ["root-cart", "root"]
    assert [route.match.path and route.match.path.value for route in found] == ["/shop/cart", "/shop"]
    assert all([named.name for named in route.match.headers] == ["x"] for route in found)
    assert [_forward(route).timeout for route in found] == [SECOND, SECOND]
    assert found[0].source == "VirtualService other/part"
    # `reviews` in a document of `other` is reviews.other, which does not exist.
    assert [_forward(route).backends[0].backend is None for route in found] == [False, True]


def test_a_delegates_route_outside_of_the_roots_match_is_left_out() -> None:
    def kept(root: dict[str, Any], part: dict[str, Any]) -> bool:
        return bool(_delegated({"match": [root]}, {"match": [part], "route": [_to()]}))

    assert kept({"uri": {"prefix": "/a"}}, {"uri": {"exact": "/a/b"}})
    assert not kept({"uri": {"prefix": "/a/b"}}, {"uri": {"prefix": "/a"}})
    assert not kept({"uri": {"exact": "/a"}}, {"uri": {"prefix": "/a"}})
    assert not kept({"uri": {"regex": "/a.*"}}, {"uri": {"exact": "/ab"}})
    assert not kept({"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/a"}, "ignoreUriCase": True})
    assert not kept({"headers": {"x": {"exact": "1"}}}, {"headers": {"x": {"exact": "2"}}})
    assert kept({"port": 80}, {"uri": {"prefix": "/a"}})
    assert not kept({"port": 80}, {"port": 81})


def test_a_root_says_who_a_delegates_routes_are_for() -> None:
    assert not _delegated(
        {"match": [{"sourceLabels": {"app": "other"}}]}, {"match": [{"uri": {"prefix": "/a"}}], "route": [_to()]}
    )


def test_a_delegate_that_does_not_exist_costs_only_its_own_route() -> None:
    gone = {"match": [{"uri": {"prefix": "/a"}}], "delegate": {"name": "gone"}}
    assert _names(_routes(gone, {"name": "rest", "route": [_to()]})) == ["rest"]
    assert _delegated(ROOT, {"route": [_to()]}, hosts=["a.example"]) == ()  # with hosts it is no delegate


def test_a_mirror_that_a_delegate_takes_over_is_the_roots() -> None:
    [found] = _delegated({**ROOT, "mirror": {"host": "reviews"}}, {"route": [_to("reviews.default.svc.cluster.local")]})
    assert _forward(found).mirrors == (Mirror(BackendRef(REVIEWS), 100.0),)


def test_a_route_without_matches_fits_everything() -> None:
    assert _routes({"route": [_to()]})[0].match == HttpMatch()
