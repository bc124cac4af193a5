"""One HTTP rule: what it does with the requests it matches, and what of that can't be had together."""

from __future__ import annotations

from tulle.model.resources.virtual_service import HTTPRoute, VirtualService
from tulle.sources.at import At
from tulle.sources.validation import (
    cors,
    destinations,
    header_operations,
    http_fault,
    http_match,
    http_mirrors,
    http_replies,
    http_retries,
    http_rewrite,
)
from tulle.sources.validation.basics import check_duration


def check(route: HTTPRoute, at: At, spec: VirtualService) -> None:
    _check_action(route, at, lends=not spec.hosts)
    for index, match in enumerate(route.match):
        http_match.check(match, at.field("match").item(index), spec)
    header_operations.check(route.headers, at.field("headers"))
    cors.check(route.cors_policy, at.field("corsPolicy"))
    http_fault.check(route.fault, at.field("fault"))
    http_mirrors.check(route, at)
    http_replies.check_redirect(route.redirect, at.field("redirect"))
    http_replies.check_direct_response(route.direct_response, at.field("directResponse"))
    http_retries.check(route.retries, at.field("retries"))
    http_rewrite.check(route.rewrite, at.field("rewrite"))
    header_operations.check_authority_once(route.rewrite, route.headers, at)
    destinations.check_split(route.route, at.field("route"))
    for index, to in enumerate(route.route):
        header_operations.check(to.headers, at.field("route").item(index).field("headers"))
    if route.timeout is not None:
        check_duration(route.timeout, at.field("timeout"))


def _check_action(route: HTTPRoute, at: At, lends: bool) -> None:
    """lends: whether it is the rule of a delegate, which is lent to another VirtualService."""
    if route.delegate is not None and not lends:
        for field, given in (("redirect", route.redirect is not None), ("route", bool(route.route))):
            if given:
                at.field(field).error("the rule has a `delegate`, which decides where requests go: keep one of the two")
        if not route.delegate.name:
            at.field("delegate").field("name").warning(
                "names no VirtualService, so that the rule does nothing: name it"
            )
        return
    if route.delegate is not None:
        at.field("delegate").error("a delegate can't delegate: take it out, or give the VirtualService `hosts`")
    if route.redirect is not None:
        _check_alone("redirect", route, at)
    elif route.direct_response is not None:
        _check_alone("directResponse", route, at)
    elif not route.route:
        at.error("does nothing with its requests: give `route`, `redirect` or `directResponse`")
    if route.mirror is not None and route.mirrors:
        at.field("mirrors").error("`mirror` is given as well: put it into `mirrors`")


def _check_alone(action: str, route: HTTPRoute, at: At) -> None:
    """The sidecar answers itself. What is refused beside that is Istio's choice; the rest does nothing."""
    if action == "redirect" and route.direct_response is not None:
        at.field("directResponse").error("a rule answers with `redirect` or with `directResponse`: keep one")
    refused = {"route": bool(route.route), "fault": route.fault is not None, "rewrite": route.rewrite is not None}
    for field in (field for field, given in refused.items() if given):
        at.field(field).error(f"the rule answers with `{action}` and sends nothing on: keep one of the two")
    idle = {
        "timeout": route.timeout is not None,
        "retries": route.retries is not None,
        "mirror": route.mirror is not None,
        "mirrors": bool(route.mirrors),
    }
    for field in (field for field, given in idle.items() if given):
        at.field(field).warning(f"does nothing beside `{action}`, which sends nothing on: take it out")
