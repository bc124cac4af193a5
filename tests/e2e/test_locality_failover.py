"""Where calls go by place and by weight: the nearest instances, the next ones when those fail, and shares as they are said."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from declaring import answered_by, applied, destination_rule, share
from running import Caller, Mesh, wait_for

URL = "http://service-b/data"
POLICY = {"outlierDetection": {"consecutive5xxErrors": 3, "interval": "1s", "baseEjectionTime": "2s"}}
PLACES = {"near": "eu/berlin/rack-1", "zone": "eu/berlin/rack-2", "far": "us/oregon/rack-1"}


class Places:
    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        mesh.up()
        self.running = {
            name: mesh.serve("service-b", name, options=("--locality", place)) for name, place in PLACES.items()
        }
        self.caller = mesh.caller(options=("--locality", PLACES["near"]))


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    with Mesh(tmp_path_factory.mktemp("places")) as mesh:
        yield Places(mesh)


@pytest.fixture
def mesh(places: Places) -> Mesh:
    return places.mesh


@pytest.fixture
def caller(places: Places) -> Caller:
    return places.caller


def weights(mesh: Mesh) -> dict[str, str]:
    """The ids of instances by the place where they are."""
    service = mesh.service("service-b")
    return {instance["locality"]: instance["id"] for instance in service["instances"]} if service else {}


def test_instances_are_listed_with_weight_and_place(mesh: Mesh) -> None:
    shown = mesh.tulle("services", "service-b").stdout
    head, *rows = shown.splitlines()
    assert head.split()[-3:-1] == ["WEIGHT", "LOCALITY"]
    assert {row.split()[-2] for row in rows} | {row.split()[-3] for row in rows} >= {"1", *PLACES.values()}, shown


def test_shares_follow_weights_and_change_live(mesh: Mesh, caller: Caller) -> None:
    """Without an outlierDetection places do not count, as in Istio."""
    wait_for("all answer", lambda: set(share(caller, URL, 30)) == set(PLACES))
    heavy = weights(mesh)[PLACES["far"]]
    try:
        assert mesh.tulle("weight", heavy, "8").returncode == 0
        wait_for("the heavy one gets most", lambda: share(caller, URL, 50)["far"] >= 30)
        found = share(caller, URL, 300)
        assert 190 <= found["far"] <= 285, found  # 240
    finally:
        mesh.tulle("weight", heavy, "1")
    wait_for("all get the same", lambda: share(caller, URL, 60)["far"] <= 32)


def test_an_instance_starts_with_the_weight_that_it_is_given(mesh: Mesh, caller: Caller) -> None:
    light, heavy = (
        mesh.serve("service-w", name, options=("--weight", w)) for name, w in (("light", "1"), ("heavy", "6"))
    )
    url = "http://service-w/"
    wait_for("both answer", lambda: set(share(caller, url, 20)) == {"light", "heavy"})
    found = share(caller, url, 210)
    assert 140 <= found["heavy"] <= 205, found  # 180
    light.stop()
    heavy.stop()


def test_the_nearest_answer_and_the_next_ones_stand_in_for_them(places: Places, mesh: Mesh, caller: Caller) -> None:
    with applied(mesh, destination_rule("service-b", trafficPolicy=POLICY)):
        answered_by(caller, URL, "near")
        places.running["near"].stop()
        answered_by(caller, URL, "zone")
        places.running["zone"].stop()
        answered_by(caller, URL, "far")
        for name in ("zone", "near"):
            places.running[name] = mesh.serve("service-b", name, options=("--locality", PLACES[name]))
            answered_by(caller, URL, name)


def test_a_place_that_fails_hands_over_without_a_failed_call(places: Places, mesh: Mesh, caller: Caller) -> None:
    with applied(mesh, destination_rule("service-b", trafficPolicy=POLICY)):
        answered_by(caller, URL, "near")
        with caller.load(URL) as load:
            places.running["near"].stop()
            load.more(100)
        assert load.failed == []
        assert load.by_instance["zone"] > 0 and load.by_instance["far"] == 0
        places.running["near"] = mesh.serve("service-b", "near", options=("--locality", PLACES["near"]))
        answered_by(caller, URL, "near")


def test_calls_are_distributed_among_places_as_a_rule_says(mesh: Mesh, caller: Caller) -> None:
    distribute = [{"from": "eu/berlin/*", "to": {"eu/berlin/rack-1": 20, "us/*": 80}}]
    policy = {**POLICY, "loadBalancer": {"localityLbSetting": {"enabled": True, "distribute": distribute}}}
    with applied(mesh, destination_rule("service-b", trafficPolicy=policy)):
        wait_for("the far one gets most", lambda: 25 <= share(caller, URL, 50)["far"] < 50)
        found = share(caller, URL, 200)
        assert 120 <= found["far"] <= 190 and found["near"] > 10 and not found["zone"], found


def test_a_key_stays_with_its_instance(mesh: Mesh, caller: Caller) -> None:
    by_header = {"loadBalancer": {"consistentHash": {"httpHeaderName": "x-user"}}}
    with applied(mesh, destination_rule("service-b", trafficPolicy=by_header)):

        def kept() -> bool:
            of = [set(share(caller, URL, 5, **{"x-user": f"user-{user}"})) for user in range(12)]
            return all(len(found) == 1 for found in of) and len(set.union(*of)) > 1

        wait_for("each user stays with an instance, and not all with one", kept)
    cookie = {"loadBalancer": {"consistentHash": {"httpCookie": {"name": "place", "ttl": "60s"}}}}
    with applied(mesh, destination_rule("service-b", trafficPolicy=cookie)):
        given = wait_for("a cookie is given", lambda: caller.call(URL).headers.get("set-cookie"))
        assert given.startswith("place=") and "max-age=60" in given.lower(), given
        assert len(share(caller, URL, 20, Cookie=given.partition(";")[0])) == 1
