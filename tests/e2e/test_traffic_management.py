"""Istio's documents, applied to a mesh that runs: what the programs that call, and those that are called, feel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from declaring import (
    answered_by,
    applied,
    apply,
    destination_rule,
    document,
    mesh_config,
    share,
    to,
    versions,
    virtual_service,
)
from running import Answer, Caller, Mesh, wait_for
from wires import free_ports

URL = "http://service-b/data"
VERSIONS = versions("service-b", "v1", "v2")
V1, V2 = {"route": [to("service-b", "v1")]}, {"route": [to("service-b", "v2")]}


class Town:
    """service-b of v1 and v2, service-c, and two callers, one of them of another namespace and with labels."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        mesh.up()
        mesh.serve("service-b", "b1", options=("--version", "v1"))
        mesh.serve("service-b", "b2", options=("--version", "v2"))
        (target,) = free_ports(1)
        mesh.serve("service-c", "c1", options=("--port", f"80:{target}", "--port", f"8080:{target}"))
        self.caller = mesh.caller()
        self.guest = mesh.caller("service-g", ("--namespace", "shop", "--label", "tier=gold"))


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with Mesh(tmp_path_factory.mktemp("town")) as mesh:
        yield Town(mesh)


@pytest.fixture
def mesh(town: Town) -> Mesh:
    return town.mesh


@pytest.fixture
def caller(town: Town) -> Caller:
    return town.caller


@pytest.fixture
def guest(town: Town) -> Caller:
    return town.guest


def until(caller: Caller, url: str, true: Callable[[Answer], bool], **more: object) -> Answer:
    """The first answer of which it is true."""
    last: list[Answer] = []

    def answer() -> Answer | None:
        last[:] = [caller.call(url, **more)]  # type: ignore[arg-type]
        return last[0] if true(last[0]) else None

    try:
        found: Answer = wait_for(f"{url} is answered as it should be", answer)
    except AssertionError:
        raise AssertionError(
            f"{url}: the last answer was {last[0].status} {last[0].body!r} {last[0].headers}"
        ) from None
    return found


def received(answer: Answer) -> dict[str, str]:
    """The headers that the program got."""
    return {name.lower(): value for name, value in answer.json()["headers"].items()}


def test_rules_tell_callers_apart_by_labels_and_namespace(mesh: Mesh, caller: Caller, guest: Caller) -> None:
    host = "http://service-b.default/data"
    gold = {"match": [{"sourceLabels": {"tier": "gold"}, "uri": {"prefix": "/data"}}], **V2}
    with applied(mesh, VERSIONS, virtual_service("service-b", gold, V1)):
        answered_by(guest, host, "b2")
        answered_by(caller, host, "b1")
    shop = {"match": [{"sourceNamespace": "shop"}], **V1}
    with applied(mesh, VERSIONS, virtual_service("service-b", shop, V2)):
        answered_by(guest, host, "b1")
        answered_by(caller, host, "b2")


def test_rules_tell_ports_and_gateways_apart(mesh: Mesh, caller: Caller) -> None:
    port = {"match": [{"port": 8080}], "directResponse": {"status": 208}}
    gateway = {"match": [{"gateways": ["doors"]}], "directResponse": {"status": 226}}
    rest = {"route": [to("service-c")]}
    with applied(mesh, virtual_service("service-c", gateway, port, rest, gateways=["mesh", "doors"])):
        until(caller, "http://service-c:8080/", lambda answer: answer.status == 208)
        assert caller.call("http://service-c/").status == 200, "neither is for this port of the mesh"
    only = virtual_service("service-c", {"directResponse": {"status": 226}}, gateways=["doors"])
    with applied(mesh, only):
        until(caller, "http://service-c:8080/", lambda answer: answer.status == 200)
        assert caller.call("http://service-c/").status == 200


def test_a_root_leaves_paths_to_its_delegates(mesh: Mesh, caller: Caller) -> None:
    root = virtual_service(
        "service-b",
        {"match": [{"uri": {"prefix": "/new"}}], "delegate": {"name": "new", "namespace": "shop"}},
        V1,
    )
    inner = {"match": [{"uri": {"prefix": "/new/door"}}], "route": [to("service-c.default.svc.cluster.local")]}
    delegate = document("VirtualService", "new", {"http": [inner]}, "shop")
    with applied(mesh, VERSIONS, root, delegate):
        until(caller, "http://service-b/new/door", lambda answer: answer.status == 200 and b'"c1"' in answer.body)
        assert set(share(caller, "http://service-b/new", 6)) == {"b1"}, "what no delegate takes is the root's"
        private = {**delegate, "spec": {**delegate["spec"], "exportTo": ["."]}}
        apply(mesh, private)
        answered_by(caller, "http://service-b/new/door", "b1")


def test_a_rule_holds_where_it_is_exported_to(mesh: Mesh, caller: Caller, guest: Caller) -> None:
    away = {"directResponse": {"status": 208}}
    with applied(mesh, virtual_service("service-b", away, exportTo=["."])):
        until(caller, URL, lambda answer: answer.status == 208)
        assert guest.call("http://service-b.default/").status == 200
    with applied(mesh, virtual_service("service-b", away, exportTo=["shop"])):
        until(guest, "http://service-b.default/", lambda answer: answer.status == 208)
        until(caller, URL, lambda answer: answer.status == 200)


def test_of_several_rules_for_a_host_the_older_one_holds(mesh: Mesh, caller: Caller) -> None:
    older = virtual_service("older", {"directResponse": {"status": 208}}, hosts=("service-b",))
    younger = virtual_service("earlier-by-name", {"directResponse": {"status": 226}}, hosts=("service-b",))
    with applied(mesh, younger):
        with applied(mesh, older):
            until(caller, URL, lambda answer: answer.status == 226)
            assert caller.call(URL).status == 226
        until(caller, URL, lambda answer: answer.status == 226)
    with applied(mesh, older):
        until(caller, URL, lambda answer: answer.status == 208)
        with applied(mesh, younger):
            assert [caller.call(URL).status for _ in range(5)] == [208] * 5


def test_the_more_specific_host_wins_over_wildcards(mesh: Mesh, caller: Caller) -> None:
    wide = virtual_service("wide", {"directResponse": {"status": 208}}, hosts=("*.default.svc.cluster.local",))
    exact = virtual_service("exact", {"directResponse": {"status": 226}}, hosts=("service-b",))
    with applied(mesh, wide):
        until(caller, URL, lambda answer: answer.status == 208)
        with applied(mesh, exact):
            until(caller, URL, lambda answer: answer.status == 226)
            until(caller, "http://service-c/", lambda answer: answer.status == 208)
        until(caller, URL, lambda answer: answer.status == 208)


def test_a_host_that_only_a_rule_knows_leads_where_it_says(mesh: Mesh, caller: Caller) -> None:
    with applied(mesh, virtual_service("shop", {"route": [to("service-b")]}, hosts=("www.shop.example",))):
        until(caller, "http://www.shop.example/data", lambda answer: answer.status == 200)


def test_shift_divides_calls_and_shifts_them_back(mesh: Mesh, caller: Caller) -> None:
    try:
        assert mesh.tulle("shift", "service-b", "v1=0", "v2=100").returncode == 0
        answered_by(caller, URL, "b2")
        assert mesh.tulle("shift", "service-b", "v1=90", "v2=10").returncode == 0
        wait_for("v1 answers too", lambda: "b1" in share(caller, URL, 5))
        found = share(caller, URL, 300)
        assert 5 <= found["b2"] <= 70 and found["b1"] + found["b2"] == 300, found
        assert mesh.tulle("shift", "service-b", "v1=100", "v2=0").returncode == 0
        answered_by(caller, URL, "b1")
    finally:
        mesh.tulle("delete", "virtualservice", "service-b")
        mesh.tulle("delete", "destinationrule", "service-b")


def test_a_mirror_gets_a_copy_and_its_answer_counts_for_nothing(mesh: Mesh, caller: Caller, tmp_path: Path) -> None:
    mirrored = {**V1, "mirrors": [{"destination": {"host": "service-c"}, "percentage": {"value": 100}}]}
    with applied(mesh, VERSIONS, virtual_service("service-b", mirrored)):
        url = f"{URL}?touch={tmp_path}/INSTANCE"
        wait_for("service-c gets a copy", lambda: caller.call(url).status == 200 and (tmp_path / "c1").exists())
        assert set(share(caller, URL, 20)) == {"b1"}


def test_faults_are_injected_as_often_as_they_are_said_to(mesh: Mesh, caller: Caller) -> None:
    abort = {"httpStatus": 418, "percentage": {"value": 100}}
    aborted = {"match": [{"headers": {"end-user": {"exact": "jason"}}}], "fault": {"abort": abort}, **V1}
    delayed = {"fault": {"delay": {"fixedDelay": "0.5s", "percentage": {"value": 100}}}, **V1}
    with applied(mesh, VERSIONS, virtual_service("service-b", aborted, delayed)):
        until(caller, URL, lambda answer: answer.status == 418, headers={"end-user": "jason"})
        answer = caller.call(URL)
        assert answer.status == 200 and answer.seconds >= 0.5


def test_a_timeout_ends_a_call_and_says_whose_it_is(mesh: Mesh, caller: Caller) -> None:
    with applied(mesh, VERSIONS, virtual_service("service-b", {**V1, "timeout": "0.3s"})):
        answer = until(caller, f"{URL}?sleep=2", lambda answer: answer.status == 504)
        assert "longer than VirtualService default/service-b allows" in answer.json()["error"]
        assert caller.call(URL).status == 200


def test_a_call_is_tried_again_where_a_rule_says_so(mesh: Mesh, caller: Caller, tmp_path: Path) -> None:
    """Each try but the first goes to the other instance; a 418 is none of those that are tried again by themselves."""
    url = f"{URL}?code=418&touch={tmp_path}/INSTANCE"
    assert caller.call(url, "POST").status == 418
    assert len(list(tmp_path.iterdir())) == 1
    retries = {"attempts": 1, "retryOn": "418", "perTryTimeout": "5s"}
    with applied(mesh, virtual_service("service-b", {"route": [to("service-b")], "retries": retries})):

        def tried_both() -> bool:
            for file in tmp_path.iterdir():
                file.unlink()
            assert caller.call(url, "POST").status == 418
            return {file.name for file in tmp_path.iterdir()} == {"b1", "b2"}

        wait_for("both instances are tried", tried_both)


def test_cors_preflights_are_answered_by_the_sidecar(mesh: Mesh, caller: Caller) -> None:
    policy = {
        "allowOrigins": [{"exact": "https://shop.example"}],
        "allowMethods": ["GET", "PUT"],
        "allowHeaders": ["x-cart"],
        "maxAge": "24h",
    }
    origin = {"Origin": "https://shop.example"}
    with applied(mesh, VERSIONS, virtual_service("service-b", {**V1, "corsPolicy": policy})):
        allowed = until(
            caller,
            URL,
            lambda answer: answer.headers.get("access-control-allow-methods") == "GET,PUT",
            method="OPTIONS",
            headers={**origin, "Access-Control-Request-Method": "PUT"},
        )
        assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
        assert allowed.headers["access-control-max-age"] == "86400"
        assert caller.call(URL, headers=origin).headers["access-control-allow-origin"] == "https://shop.example"


def test_requests_are_rewritten_on_their_way(mesh: Mesh, caller: Caller) -> None:
    prefix = {
        "match": [{"uri": {"prefix": "/old/"}}],
        "rewrite": {"uri": "/new/", "authority": "inner.example"},
        **V1,
    }
    regex = {
        "match": [{"uri": {"regex": "/users/[0-9]+"}}],
        "rewrite": {"uriRegexRewrite": {"match": "/users/([0-9]+)", "rewrite": r"/people/\1"}},
        **V2,
    }
    with applied(mesh, VERSIONS, virtual_service("service-b", prefix, regex, V1)):
        answer = until(caller, "http://service-b/old/page?x=1", lambda answer: answer.json()["path"] == "/new/page?x=1")
        assert received(answer)["host"] == "inner.example"
        answer = caller.call("http://service-b/users/7")
        assert (answer.json()["path"], answer.json()["instance"]) == ("/people/7", "b2")


def test_headers_are_changed_both_ways_and_per_version(mesh: Mesh, caller: Caller) -> None:
    route = {
        "headers": {
            "request": {"set": {"x-set": "1"}, "remove": ["x-gone"]},
            "response": {"add": {"x-added": "by-route"}, "remove": ["x-inner"]},
        },
        "route": [to("service-b", "v2", headers={"response": {"set": {"x-version": "two"}}})],
    }
    with applied(mesh, VERSIONS, virtual_service("service-b", route)):
        answer = until(
            caller,
            f"{URL}?header=x-inner",
            lambda answer: answer.headers.get("x-added") == "by-route",
            headers={"x-gone": "1", "x-set": "0"},
        )
        assert answer.headers["x-version"] == "two" and "x-inner" not in answer.headers
        seen = received(answer)
        assert seen["x-set"] == "1" and "x-gone" not in seen


def test_answers_come_from_rules_themselves(mesh: Mesh, caller: Caller) -> None:
    said = {"match": [{"uri": {"exact": "/robots.txt"}}]}
    said["directResponse"] = {"status": 503, "body": {"string": "closed"}}  # type: ignore[assignment]
    moved = {
        "match": [{"uri": {"prefix": "/was"}}],
        "redirect": {"uri": "/is", "authority": "elsewhere.example", "redirectCode": 308},
    }
    with applied(mesh, virtual_service("service-b", said, moved, {"route": [to("service-b")]})):
        answer = until(caller, "http://service-b/robots.txt", lambda answer: answer.body == b"closed")
        assert answer.status == 503
        answer = caller.call("http://service-b/was")
        assert (answer.status, answer.headers["location"]) == (308, "http://elsewhere.example/is")
        assert caller.call(URL).status == 200


def test_rules_change_under_load_and_no_call_fails(mesh: Mesh, caller: Caller) -> None:
    with caller.load(URL) as load:
        for _ in range(3):
            with applied(mesh, VERSIONS, virtual_service("service-b", V1)):
                load.more(100)
            load.more(50)
            with applied(mesh, VERSIONS, virtual_service("service-b", V2)):
                load.more(100)
    assert load.failed == []


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("NONE", "/a/./b/../c//d%2Fe"),
        ("BASE", "/a/c//d%2Fe"),
        ("MERGE_SLASHES", "/a/c/d%2Fe"),
        ("DECODE_AND_MERGE_SLASHES", "/a/c/d/e"),
    ],
)
def test_the_mesh_says_in_which_form_a_program_gets_paths(mesh: Mesh, caller: Caller, kind: str, seen: str) -> None:
    def path() -> str:
        found: str = caller.call("http://service-c/a/./b/../c//d%2Fe").json()["path"]
        return found

    with applied(mesh, mesh_config(pathNormalization={"normalization": kind})):
        wait_for(f"the program gets {seen}", lambda: path() == seen)
    wait_for("the default is back", lambda: path() == "/a/c//d%2Fe")


def test_the_mesh_s_own_retries_hold_for_all_routes_until_they_are_deleted(
    mesh: Mesh, caller: Caller, tmp_path: Path
) -> None:
    def tried() -> int:
        for file in tmp_path.iterdir():
            file.unlink()
        assert caller.call(f"{URL}?code=418&touch={tmp_path}/INSTANCE", "POST").status == 418
        return len(list(tmp_path.iterdir()))

    with applied(mesh, mesh_config(defaultHttpRetryPolicy={"attempts": 1, "retryOn": "418"})):
        wait_for("both instances are tried", lambda: tried() == 2)
    wait_for("one is", lambda: tried() == 1)


def test_passthrough_to_a_service_of_the_mesh_goes_to_its_instances_all_the_same(mesh: Mesh, caller: Caller) -> None:
    passing = {"loadBalancer": {"simple": "PASSTHROUGH"}, "connectionPool": {"http": {"maxRetries": 3}}}
    rule = destination_rule("service-b", trafficPolicy=passing)
    mark = {"headers": {"response": {"set": {"x-story": "passthrough"}}}}
    with applied(mesh, rule, virtual_service("service-b", {"route": [to("service-b")], **mark})):
        until(caller, URL, lambda answer: answer.headers.get("x-story") == "passthrough")
        assert set(share(caller, URL, 10)) == {"b1", "b2"}
