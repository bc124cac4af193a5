"""On how many proxies a resource is in force: counted on those that hold something made of it, and on no others."""

from __future__ import annotations

from msgspec.structs import replace

from declared_mesh import instance, resources
from envoy_like import EnvoyLike
from golden import declared_in
from tulle.model.resources.resource import Resource
from tulle.model.snapshot import Snapshot
from tulle.pipeline.hub import Hub
from tulle.pipeline.in_force import InForce, in_force
from tulle.xds.resources import CDS, VHDS

REVIEWS, RATINGS = "VirtualService default/reviews", "DestinationRule default/ratings"
ROUTE = """
VirtualService reviews
hosts: [reviews]
http: [{route: [{destination: {host: reviews}}]}]
"""
RULE = """
DestinationRule ratings
host: ratings
trafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}}
"""


def hub() -> Hub:
    made = Hub()
    there = (instance("reviews"), instance("ratings"), *(instance("page", number=number) for number in range(3)))
    made.apply(Snapshot(1, {proxy.id: proxy for proxy in there}))
    return made


def declare(made: Hub, *declared: Resource, revision: int = 2) -> int:
    """How many views have something to send now."""
    touched = made.apply(Snapshot(revision, resources={one.ref: one for one in declared}))
    return sum(bool(view.flush()) for view in touched.views)


def counted(made: Hub) -> dict[str, InForce]:
    return in_force(views[-1] for views in made.views.values())


def page(made: Hub, number: int, refuses: frozenset[str] = frozenset()) -> EnvoyLike:
    return EnvoyLike(made, f"page-default-v1-{number}", refuses).settle()


def calls(envoy: EnvoyLike, *hosts: str) -> None:
    envoy.ask(*hosts)
    envoy.settle()


def test_those_that_hold_something_of_it_need_it_and_no_others() -> None:
    made = hub()
    declare(made, *resources(ROUTE, RULE))
    assert counted(made) == {}
    first, second = page(made, 0), page(made, 1)
    calls(first, "reviews")
    calls(second, "reviews", "ratings")
    page(made, 2)
    assert counted(made) == {REVIEWS: InForce(2, 2), RATINGS: InForce(1, 1)}
    assert in_force((second.view,), {RATINGS}) == {RATINGS: InForce(1, 1)}


def test_until_it_is_acknowledged_it_is_not_in_force() -> None:
    made = hub()
    declare(made, *resources(ROUTE))
    first, second = page(made, 0), page(made, 1)
    calls(first, "reviews")
    calls(second, "reviews")
    (changed,) = resources(ROUTE.replace("reviews}}", "ratings}}"))
    made.apply(Snapshot(3, resources={changed.ref: replace(changed, generation=2)}))
    first.settle()
    assert counted(made)[REVIEWS] == InForce(2, 1)
    second.settle()
    assert counted(made)[REVIEWS] == InForce(2, 2)


def test_who_refuses_it_is_told_with_the_reason() -> None:
    made = hub()
    envoy = page(made, 0)
    calls(envoy, "ratings")
    envoy.refuses, envoy.refuses_kind = frozenset({"outbound|80||ratings.default.svc.cluster.local"}), CDS
    made.apply(Snapshot(3, resources={one.ref: one for one in resources(RULE)}))
    envoy.settle()
    assert counted(made)[RATINGS] == InForce(1, 0, 1, [("page-default-v1-0", "no, thank you")])


def test_what_is_made_of_a_resource_is_known_by_its_keys() -> None:
    made = hub()
    declare(made, *resources(ROUTE))
    envoy = page(made, 0)
    calls(envoy, "reviews")
    kinds = {kind for kind, _ in envoy.view.made_of({REVIEWS})}
    assert kinds == {VHDS}
    assert envoy.view.made_of({RATINGS}) == set()


def test_a_change_for_one_host_wakes_no_session_that_does_not_hold_it() -> None:
    made = hub()
    first, second = page(made, 0), page(made, 1)
    calls(first, "reviews")
    calls(second, "ratings")
    touched = made.apply(Snapshot(2, resources={one.ref: one for one in resources(ROUTE)}))
    assert touched.views == (first.view,)
    first.settle()
    touched = made.apply(Snapshot(3, resources={one.ref: one for one in resources(RULE)}))
    assert touched.views == (second.view,)


def test_policies_are_in_force_where_the_workloads_are_that_they_are_for() -> None:
    documents = [
        {"kind": "AuthorizationPolicy", "metadata": {"name": "all"}, "spec": {"rules": [{}]}},
        {
            "kind": "AuthorizationPolicy",
            "metadata": {"name": "pages"},
            "spec": {"selector": {"matchLabels": {"app": "page"}}, "action": "DENY"},
        },
    ]
    made = hub()
    policies = [policy for policy in declared_in(documents).values() if policy]
    pages, reviews = "AuthorizationPolicy default/pages", "AuthorizationPolicy default/all"
    first, other = page(made, 0), EnvoyLike(made, "reviews-default-v1-0").settle()
    made.apply(Snapshot(2, resources={one.ref: one for one in policies}))
    assert counted(made) == {pages: InForce(needed=1), reviews: InForce(needed=2)}
    first.settle()
    assert counted(made) == {pages: InForce(1, 1), reviews: InForce(2, 1)}
    other.settle()
    assert counted(made) == {pages: InForce(1, 1), reviews: InForce(2, 2)}
    other.refuses = frozenset(["inbound|80|reviews-default-v1-0"])
    changed = replace(policies[0], spec=replace(policies[0].spec, rules=()), generation=2)
    made.apply(Snapshot(3, resources={changed.ref: changed}))
    first.settle()
    other.settle()
    told = counted(made)[reviews]
    assert (told.needed, told.acknowledged, told.refused) == (2, 1, 1)
    assert [proxy for proxy, _ in told.rejected] == ["reviews-default-v1-0"]
