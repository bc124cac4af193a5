"""Limits and ejections as a calling program feels them: Istio's task on circuit breaking, on a mesh that runs."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from declaring import applied, destination_rule, document, mesh_config, share, to, virtual_service
from puppets import counted
from running import Answer, Caller, Mesh, wait_for

URL = "http://service-b/data"


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with Mesh(tmp_path_factory.mktemp("breaking")) as running:
        running.up()
        running.serve("service-b", "b1")
        yield running


@pytest.fixture(scope="module")
def caller(mesh: Mesh) -> Caller:
    return mesh.caller()


def at_once(caller: Caller, url: str, calls: int) -> list[Answer]:
    """The answers to calls that are made at the same time."""
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda: answers.append(caller.call(url))) for _ in range(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == calls
    return answers


def test_over_the_limit_a_call_is_refused_at_once_and_told_why(mesh: Mesh, caller: Caller) -> None:
    pool = {"tcp": {"maxConnections": 1}, "http": {"http1MaxPendingRequests": 1, "maxRequestsPerConnection": 1}}
    with applied(mesh, destination_rule("service-b", trafficPolicy={"connectionPool": pool})):
        found: list[Answer] = []

        def one_is_served_and_one_waits() -> bool:
            found[:] = at_once(caller, f"{URL}?sleep=0.5", 6)
            return Counter(answer.status for answer in found) == {200: 2, 503: 4}

        wait_for("two of six calls are served", one_is_served_and_one_waits)
        refused = [answer for answer in found if answer.status == 503]
        assert all("is over a limit of its DestinationRule" in answer.json()["error"] for answer in refused)
        assert all(answer.json()["flags"] == "UO" and answer.seconds < 0.5 for answer in refused)
    wait_for("the limit is gone", lambda: {answer.status for answer in at_once(caller, f"{URL}?sleep=0.2", 6)} == {200})


def test_the_mesh_s_default_limits_hold_until_they_are_deleted(mesh: Mesh, caller: Caller) -> None:
    pool = {"tcp": {"maxConnections": 1}, "http": {"http1MaxPendingRequests": 1}}

    def statuses() -> set[int]:
        return {answer.status for answer in at_once(caller, f"{URL}?sleep=0.3", 6)}

    with applied(mesh, mesh_config(defaultTrafficPolicy={"connectionPool": pool})):
        wait_for("some calls are refused", lambda: statuses() == {200, 503})
    wait_for("the defaults are back", lambda: statuses() == {200})


def test_an_instance_that_errs_is_ejected_and_comes_back(mesh: Mesh, caller: Caller, tmp_path: Path) -> None:
    """It answers with errors while a file is there; calls then go to the other one alone, and to both when it is well."""
    sick = tmp_path / "sick"
    mesh.serve("service-e", "e1", SICK_ALL=str(sick))
    mesh.serve("service-e", "e2")
    url = "http://service-e/data"
    policy = {
        "outlierDetection": {
            "consecutive5xxErrors": 3,
            "interval": "1s",
            "baseEjectionTime": "2s",
            "maxEjectionPercent": 100,
        },
        "loadBalancer": {"simple": "ROUND_ROBIN"},
    }
    with applied(mesh, destination_rule("service-e", trafficPolicy=policy)):
        wait_for("both answer", lambda: set(share(caller, url, 10)) == {"e1", "e2"})
        sick.touch()
        errors: Counter[str] = Counter()

        def ejected() -> bool:
            found = share(caller, url, 10)
            errors.update(found)
            return set(found) == {"e2"}

        wait_for("the one that errs is ejected", ejected)
        assert errors["500"] >= 3

        def said() -> str:
            share(caller, url, 4)
            out = mesh.tulle("explain", "request", caller.proxy, "GET", url).stdout
            return out if "out: ejected by the caller's sidecar (3 5xx answers in a row); it is back" in out else ""

        out = wait_for("it is said that it is ejected, why, and until when", said)
        assert out.count("out: ejected") == out.count("serves\n") == 1 and " s at most" in out
        sick.unlink()
        wait_for("it is back", lambda: set(share(caller, url, 10)) == {"e1", "e2"})


def test_retries_are_a_share_of_what_is_under_way_where_a_budget_says_so(mesh: Mesh, caller: Caller) -> None:
    """Eight calls at once that all fail are eight times two more, but for a budget that lets one retry go at a time."""
    retries = {"attempts": 2, "retryOn": "5xx", "backoff": "10ms"}
    name = "service-b.default.svc.cluster.local.upstream_rq_retry"

    def retried() -> int:
        before = counted(mesh, caller.proxy, name)
        at_once(caller, f"{URL}?code=500&sleep=0.2", 8)
        return counted(mesh, caller.proxy, name) - before

    with applied(mesh, virtual_service("service-b", {"route": [to("service-b")], "retries": retries})):
        wait_for("all are tried again", lambda: retried() == 16)
        budget = {"retryBudget": {"percent": 1, "minRetryConcurrency": 1}}
        with applied(mesh, destination_rule("service-b", trafficPolicy=budget)):
            wait_for("most are not", lambda: 0 < retried() <= 8)


def test_a_sidecar_keeps_what_is_too_much_from_its_program(mesh: Mesh, caller: Caller) -> None:
    pool = {"tcp": {"maxConnections": 1}, "http": {"http1MaxPendingRequests": 1}}
    labels = {"labels": {"app": "service-b"}}
    sidecar = document("Sidecar", "service-b", {"workloadSelector": labels, "inboundConnectionPool": pool})
    with applied(mesh, sidecar):
        found: list[Answer] = []

        def some_are_refused() -> bool:
            found[:] = at_once(caller, f"{URL}?sleep=0.3", 6)
            return {answer.status for answer in found} == {200, 503}

        wait_for("some calls are refused", some_are_refused)
        refused = [answer.json()["error"] for answer in found if answer.status == 503]
        assert all("the program behind this sidecar has as many calls" in error for error in refused), refused
    wait_for("the limit is gone", lambda: {answer.status for answer in at_once(caller, URL, 6)} == {200})
