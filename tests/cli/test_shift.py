"""`tulle shift` writes what a user would have written, and nothing that it can't be sure of."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

ROUTES = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop-web}
spec:
  hosts: [web.default.svc.cluster.local]
  http:
  - match: [{uri: {prefix: /beta}}]
    route: [{destination: {host: web, subset: v2}}]
  - timeout: 2s
    route:
    - destination: {host: web.default.svc.cluster.local, subset: v1, port: {number: 80}}
      headers: {request: {set: {x-old: "yes"}}}
"""


async def spec(tulle: Any, what: str) -> Any:
    return yaml.safe_load((await tulle("get", what, "-o", "yaml")).out)["spec"]


async def test_where_nothing_is_declared_both_documents_are_made(tulle: Any) -> None:
    said = await tulle("shift", "web", "v1=90", "v2=10")
    assert (said.code, said.err) == (0, "")
    assert said.out == "destinationrule/web created\nvirtualservice/web created\n"
    assert await spec(tulle, "dr/web") == {
        "host": "web",
        "subsets": [{"name": name, "labels": {"version": name}} for name in ("v1", "v2")],
    }
    route = [{"destination": {"host": "web", "subset": name}, "weight": n} for name, n in (("v1", 90), ("v2", 10))]
    assert await spec(tulle, "vs/web") == {"hosts": ["web"], "http": [{"route": route}]}
    again = await tulle("shift", "web", "v1=90", "v2=10")
    assert again.out == "web.default is divided like that already\n"
    back = await tulle("shift", "web", "v1=100")
    assert back.out == "virtualservice/web configured\n"
    assert [one["destination"]["subset"] for one in (await spec(tulle, "vs/web"))["http"][0]["route"]] == ["v1"]


async def test_only_the_default_route_is_rewritten_and_keeps_all_else(tulle: Any) -> None:
    await tulle("apply", "-f", "-", stdin=ROUTES)
    said = await tulle("shift", "web", "v1=75", "v2=25")
    assert said.out == "destinationrule/web created\nvirtualservice/shop-web configured\n"
    beta, default = (await spec(tulle, "vs/shop-web"))["http"]
    assert beta == yaml.safe_load(ROUTES)["spec"]["http"][0]
    old, new = default["route"]
    assert default["timeout"] == "2s" and old["headers"] == {"request": {"set": {"x-old": "yes"}}}
    assert (old["weight"], new["weight"], new["destination"]["port"]) == (75, 25, {"number": 80})


async def test_a_dry_run_shows_the_difference_and_writes_nothing(tulle: Any) -> None:
    await tulle("apply", "-f", "-", stdin=ROUTES)
    said = await tulle("shift", "web", "v2=100", "--dry-run")
    assert "+++ new/virtualservice/default/shop-web" in said.out and "+          weight: 100" in said.out
    assert "virtualservice/shop-web configured (dry run)\n" in said.out
    assert (await tulle("get", "dr", "-o", "name")).out == ""


async def test_a_version_that_nobody_runs_gets_no_more_calls_than_it_has_unless_forced(tulle: Any) -> None:
    problem = "no instance of web.default has the version v3 now; it has v1, v2"
    for words in ((), ("--dry-run",)):
        said = await tulle("shift", "web", "v1=90", "v3=10", *words)
        assert (said.code, said.out) == (1, "")
        assert said.err == f"Error: {problem} (--force gives it calls all the same)\n"
    assert (await tulle("get", "all", "-o", "name")).out == ""
    said = await tulle("shift", "web", "v1=90", "v3=10", "--force")
    assert (said.code, said.err) == (0, f"warning: {problem}\n")
    assert (await tulle("shift", "web", "v1=95", "v3=5")).code == 0
    assert (await tulle("shift", "web", "v1=100", "v4=0")).code == 0


async def test_a_subset_is_served_by_whom_its_labels_select(tulle: Any) -> None:
    subsets = (
        "[{name: stable, labels: {version: v1}}, {name: front, labels: {tier: front}}, {name: old, labels: {tier: x}}]"
    )
    rule = "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: web}, spec: {host: web, subsets: %s}}"
    assert (await tulle("apply", "-f", "-", stdin=rule % subsets)).code == 0
    assert (await tulle("shift", "web", "stable=50", "front=50")).code == 0
    assert "has the version old now" in (await tulle("shift", "web", "stable=50", "old=50")).err


async def test_a_service_that_nobody_has_run_is_refused_unless_forced(tulle: Any) -> None:
    for name, hint in (
        ("webb", "there is no service webb.default; did you mean web.default?"),
        ("api", "there is no service api.default; did you mean api.shop?"),
        ("nosuch", "there is no service nosuch.default; `tulle services` lists them"),
    ):
        said = await tulle("shift", name, "v1=100")
        assert (said.code, said.out) == (1, "") and hint in said.err
    assert (await tulle("get", "all", "-o", "name")).out == ""
    # One that has no instance left is known, but nobody would take its calls.
    assert "version v1 now; none runs (--force" in (await tulle("shift", "db.shop", "v1=100")).err
    assert (await tulle("shift", "db.shop", "v1=100", "--force")).code == 0
    # As is one that is declared.
    entry = "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: old}, spec: {hosts: [HOST]}}"
    await tulle("apply", "-f", "-", stdin=entry.replace("HOST", "old.default.svc.cluster.local"))
    assert (await tulle("shift", "old", "v1=100")).code == 0
    said = await tulle("shift", "nosuch", "v1=100", "--force")
    assert said.code == 0 and "no instance of nosuch.default has the version v1 now; none runs" in said.err


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "subset: v1, port: {number: 80}}",
            "subset: v1}\n      weight: 50\n    - destination: {host: other}\n      weight: 50",
            "does not lead to web",
        ),
        ("  - timeout: 2s\n    route:", "  - match: [{port: 80}]\n    route:", "has no default route"),
        ("name: shop-web}", "name: web}", ""),
    ],
)
async def test_what_it_cannot_rewrite_safely_is_refused(tulle: Any, old: str, new: str, problem: str) -> None:
    document = ROUTES.replace(old, new)
    if "other" in new:
        document = document.replace('      headers: {request: {set: {x-old: "yes"}}}\n', "")
    applied = await tulle("apply", "-f", "-", stdin=document)
    assert applied.code == 0, applied.err
    said = await tulle("shift", "web", "v1=100")
    assert said.code == (1 if problem else 0) and problem in said.err


async def test_what_belongs_to_another_host_or_is_there_twice_is_left_alone(tulle: Any) -> None:
    other = ROUTES.replace("web.default", "other.default").replace("name: shop-web", "name: web")
    await tulle("apply", "-f", "-", stdin=other)
    taken = await tulle("shift", "web", "v1=100")
    assert taken.code == 1 and "it is not for web.default: rename it first" in taken.err
    await tulle("apply", "-f", "-", stdin=ROUTES)
    await tulle("apply", "-f", "-", stdin=ROUTES.replace("shop-web", "second"))
    twice = await tulle("shift", "web", "v1=100")
    assert twice.code == 1 and "has several VirtualServices" in twice.err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("web", "v1=90"), "the weights are 90 together: they must be 100"),
        (("web", "v1"), "'v1': write VERSION=WEIGHT"),
        (("web", "v1=50", "v1=50"), "v1 is given twice"),
        (("web", "v1=-1", "v2=101"), "'v1=-1': write VERSION=WEIGHT"),
        (("web:80", "v1=100"), "'web:80' is no service"),
        (("web.shop", "v1=100", "-n", "default"), "is of the namespace shop"),
        (("web",), "say VERSION=WEIGHT for each version, or --to for one"),
        (("web", "v1=100", "--to", "v2=10"), "say VERSION=WEIGHT for each version, or --to for one"),
        (("web", "--to", "v2=101"), "it can't be more than 100"),
        (("web", "v1=100", "--step", "5"), "--step needs --over"),
        (("web", "v1=100", "--over", "5s"), "5s is not between 10s and 24h"),
        (("web", "v1=100", "--over", "1m", "--max-errors", "x"), "'x' is not between 0% and 100%"),
        (("web", "v1=100", "--over", "1m", "--max-latency", "0.5x"), "'0.5x' is not between 1x and 1000x"),
    ],
)
async def test_a_mistake_in_the_command_line_is_told(alone: Any, arguments: tuple[str, ...], problem: str) -> None:
    said = await alone("shift", *arguments)
    assert said.code == 2 and problem in said.err


async def test_one_version_is_raised_and_the_others_keep_their_proportion(tulle: Any) -> None:
    said = await tulle("shift", "web", "--to", "v2=40")
    assert said.code == 1 and "first give them to the version that has to have them" in said.err
    await tulle("shift", "web", "v0=40", "v1=60", "--force")
    said = await tulle("shift", "web", "--to", "v2=50", "-o", "json")
    assert said.code == 0 and {one["kind"] for one in said.json} == {"DestinationRule", "VirtualService"}
    routes = (await spec(tulle, "vs/web"))["http"][0]["route"]
    assert [(one["destination"]["subset"], one["weight"]) for one in routes] == [("v0", 20), ("v1", 30), ("v2", 50)]
    assert (await tulle("shift", "web", "--to", "v2=50", "-o", "json")).json == []


async def test_a_gradual_shift_says_its_steps_beforehand_and_refuses_what_it_could_not_judge(tulle: Any) -> None:
    words = ("shift", "web", "--to", "v1=100", "--over", "1m", "--step", "50")
    assert "first give them" in (await tulle(*words)).err
    await tulle("shift", "web", "v2=100")
    planned = await tulle(*words, "--dry-run")
    assert planned.code == 0 and "step 1 of 2, 30 s: v2=50 v1=50\nstep 2 of 2, 30 s: v2=0 v1=100\n" in planned.err
    assert "weight: 50" in planned.out
    assert (await spec(tulle, "vs/web"))["http"][0]["route"][0]["weight"] == 100
    for arguments, code, problem in (
        (("--to", "v3=100", "--over", "2m"), 1, "no healthy instance of web.default has the version v3"),
        (("--to", "v1=100", "--over", "20s"), 2, "a step takes 10 s at least"),
        (("--to", "v2=100", "--over", "1m"), 1, "no version would get more than now"),
        (("v1=50", "v3=50", "--over", "1m"), 1, "would get more than now: a gradual shift raises one at a time"),
    ):
        said = await tulle("shift", "web", *arguments)
        assert said.code == code and problem in " ".join(said.err.split())
    subsets = "subsets: [{name: v1, labels: {release: new}}, {name: v2, labels: {version: v2}}]"
    rule = (
        "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: web}, spec: {host: web, SUBSETS}}"
    )
    assert (await tulle("apply", "-f", "-", stdin=rule.replace("SUBSETS", subsets))).code == 0
    assert "figures can't tell the calls of v1 from others" in (await tulle(*words)).err
