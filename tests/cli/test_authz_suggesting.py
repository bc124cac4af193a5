"""What policies are suggested for calls that were counted and seen."""

from __future__ import annotations

from typing import Any

import pytest

from tulle.api.call_views import CalledView
from tulle.api.figure_views import CallerView
from tulle.api.views import InstanceView, ServiceView
from tulle.cli.access.paths import patterns
from tulle.cli.access.suggesting import Heard, app_labels, hear, suggested
from tulle.model.workload import Health

WEB, JOB = ("spiffe://cluster.local/ns/shop/sa/web", "spiffe://cluster.local/ns/shop/sa/job")
APPS = {"shop/api": "api"}


def row(principal: str, port: int = 80, requests: int = 9, refused: int = 0, **more: Any) -> CallerView:
    protocol, connections = more.get("protocol", "http"), more.get("connections", 0)
    caller = f"shop/{principal.rpartition('/')[2]}" if principal else "unknown"
    return CallerView("shop", "api", port, protocol, caller, principal, requests, refused, connections)


def rules(document: Any) -> list[tuple[Any, ...]]:
    found = []
    for rule in document["spec"]["rules"]:
        operation = rule["to"][0]["operation"]
        whom = [one.rpartition("/")[2] for one in rule["from"][0]["source"]["principals"]]
        found.append((whom, operation["ports"], operation.get("methods"), operation.get("paths")))
    return found


def test_who_called_may_call_again_at_the_same_ports() -> None:
    (one,) = suggested([row(WEB), row(JOB), row(JOB, 5432, 0, protocol="tcp", connections=2)], APPS)
    assert one.document is not None
    assert one.document["metadata"] == {
        "name": "api-callers",
        "namespace": "shop",
        "annotations": {"istio.io/dry-run": "true"},
    }
    assert one.document["spec"]["selector"] == {"matchLabels": {"app": "api"}}
    assert rules(one.document) == [(["web"], ["80"], None, None), (["job"], ["80", "5432"], None, None)]
    assert one.notes == [
        "cluster.local/ns/shop/sa/web: 9 requests to port 80",
        "cluster.local/ns/shop/sa/job: 9 requests to port 80",
        "cluster.local/ns/shop/sa/job: 2 connections to port 5432",
    ]
    (enforced,) = suggested([row(WEB)], APPS, is_dry_run=False)
    assert enforced.document is not None and "annotations" not in enforced.document["metadata"]
    assert suggested([], APPS) == []


@pytest.mark.parametrize(
    ("called", "note"),
    [
        (row(""), "unknown: 9 requests to port 80 in plain text, which proves nothing: no rule allows them"),
        (row(WEB, refused=9), "all refused (403): left out"),
        (row(WEB, port=0), "to an unknown port: left out"),
    ],
)
def test_what_no_rule_can_or_ought_to_allow_is_said_and_left_out(called: CallerView, note: str) -> None:
    (alone,) = suggested([called], APPS)
    assert alone.document is None and alone.notes[0].endswith(note)
    (beside,) = suggested([called, row(JOB)], APPS)
    assert rules(beside.document) == [(["job"], ["80"], None, None)]


def test_a_selector_is_for_one_service_alone() -> None:
    def service(name: str, *labels: dict[str, str]) -> ServiceView:
        instances = [InstanceView(f"{name}-1", Health.HEALTHY, "127.0.0.1", 1, "", each) for each in labels]
        return ServiceView(name, "shop", f"{name}.shop.svc.cluster.local", [], instances, len(instances))

    found = app_labels(
        [
            service("api", {}),
            service("web", {"app": "front"}),
            service("x", {"app": "y"}),
            service("y"),
            service("z", {}, {"app": "o"}),
        ]
    )
    assert found == {"shop/api": "api", "shop/web": "front", "shop/x": None, "shop/y": None, "shop/z": None}
    (none,) = suggested([row(WEB)], {"shop/api": None})
    assert none.document is None and "no selector is for them alone" in none.notes[-1]


def call(identity: str, method: str, path: str, status: int = 200, side: str = "destination") -> CalledView:
    return CalledView(
        *(0, "api-1", side, "shop/web", "shop/api", method, "api", path, "HTTP/2", status, "", "", "", 1, 1, 1, "", ""),
        *("", "", "", 1, "", identity, True),
    )


def test_requests_that_were_seen_narrow_a_rule_to_their_methods_and_paths() -> None:
    watched: Heard = {}
    for one in (
        call(WEB, "GET", "/items/1"),
        call(WEB, "POST", "/items"),
        call(WEB, "DELETE", "/items/1", 403),
        call("", "PUT", "/"),
        call(WEB, "PUT", "/", side="source"),
    ):
        hear(watched, one)
    rows = [row(WEB), row(WEB, 5432, 0, protocol="tcp", connections=1), row(JOB)]
    (made,) = suggested(rows, APPS, watched, with_paths=True)
    assert sorted(map(str, rules(made.document))) == [
        "(['job'], ['80'], None, None)",
        "(['web'], ['5432'], None, None)",
        "(['web'], ['80'], ['GET', 'POST'], ['/items', '/items/*'])",
    ]
    assert made.notes[-1] == "cluster.local/ns/shop/sa/job: none of its requests was seen, so that it may make any"
    (methods,) = suggested(rows, APPS, watched)
    assert (["web"], ["80"], ["GET", "POST"], None) in rules(methods.document)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["/"], ["/"]),
        (["/a", "/b/c"], ["/a", "/b/c"]),
        (["/orders/17", "/orders/18/lines"], ["/orders/*"]),
        (["/u/3f2b8c1e-0000-4000-8000-1234567890ab", "/u"], ["/u", "/u/*"]),
        ([f"/items/{name}" for name in "abcde"] + ["/items/a/x"], ["/items/*"]),
        ([f"/v1/{name}/x" for name in "abcde"] + ["/health"], ["/health", "/v1/*"]),
        (["/files/a*b", "/x/{y}/z", "/%2e"], ["/*"]),
        (["/files/a*b"], ["/files/*"]),
        ([f"/{a}/{b}" for a in "abcd" for b in "wxyz"], None),
        ([f"/{n}" for n in range(100)], ["/*"]),
    ],
)
def test_paths_become_few_patterns(paths: list[str], expected: list[str] | None) -> None:
    found = patterns(paths)
    assert expected is None or found == expected
    assert len(found) <= 12 and patterns(found) == found

    def fits(path: str) -> bool:
        return any(path.startswith(one[:-1]) if one.endswith("*") else path == one for one in found)

    assert all(map(fits, paths))
