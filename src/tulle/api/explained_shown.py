"""An explanation as the API shows it: places by file and line, actions in words, and what to change."""

from __future__ import annotations

from collections.abc import Iterator

from tulle.api.access_shown import Shown
from tulle.api.access_views import PlaceView
from tulle.api.explained_views import CandidateView, NameView, RouteView, ShareView
from tulle.ir.policies import Policy
from tulle.ir.routes import Forward, HttpRoute, Redirect, Respond, Retries, Weighted
from tulle.ir.types import Answer
from tulle.resolve import backends
from tulle.resolve.explaining.explanation import Explained, Share
from tulle.translate import names

_NANOSECONDS = 1_000_000


def name_of(found: Explained, shown: Shown) -> NameView | None:
    if found.seen is None:
        return None
    to = found.destination
    return NameView(
        found.asked.authority,
        ""
        if to is None
        else (f"{to.service.namespace}/{to.service.name}" if to.service.namespace else to.service.name),
        to.port if to else 0,
        (found.means or Answer.PASSTHROUGH).value,
        found.problem,
        [shown.place(source) for source in found.sources],
    )


def routes_of(found: Explained, shown: Shown) -> list[RouteView]:
    tried = [RouteView(one.route.name, _place(one.route, shown), list(one.why)) for one in found.missed]
    if found.route is not None:
        does, further = _does(found.route), list(_further(found.route))
        tried.append(RouteView(found.route.name, _place(found.route, shown), [], does, further))
    return tried


def share_of(share: Share, shown: Shown, pending: list[str]) -> ShareView:
    ref, basis = share.weighted.backend, share.to.basis if share.to else None
    return ShareView(
        percent=round(share.percent, 3),
        destination=str(ref.destination) if ref else share.weighted.missing,
        subset=ref.subset if ref else "",
        cluster=names.backend(ref) if ref else "",
        path=share.seen.path,
        authority=share.seen.authority,
        made_by=[shown.place(source) for source in sorted(basis.sources)] if basis else [],
        limits=list(_limits(backends.policy(basis))) if basis else [],
        told=share.to.told if share.to else True,
        candidates=[
            CandidateView(one.name, one.address, one.locality, one.out)
            for one in (share.to.candidates if share.to else ())
        ],
        access=[shown.answer(door, answer, pending) for door, answer in share.doors],
        unjudged=share.unjudged,
    )


def fixes_of(found: Explained, caller: str) -> Iterator[str]:
    """What to change so that the request is served, or what to look at."""
    if found.means is Answer.ROUTE and found.route is None and found.missed:
        yield "give the VirtualService a last route without a match, or change the request so that one of its routes fits"
    if found.means is Answer.UNKNOWN:
        yield "look at the names and ports that there are: tulle services"
    if found.means is Answer.BLOCKED:
        yield "declare the host with a ServiceEntry, or let others be called: outboundTrafficPolicy ALLOW_ANY"
    for share in found.shares:
        name = str(share.weighted.backend.destination.service) if share.weighted.backend else ""
        if share.to is None or share.to.basis is None:
            yield f"declare the service or subset {share.weighted.missing} (DestinationRule), or route elsewhere"
        elif share.to.told and not share.to.serving:
            yield _nobody(share, name)
        elif any(not answer.allowed for _, answer in share.doors):
            yield f"see which rule decides, and why the others do not fit: tulle authz check {caller} {name}"


def _nobody(share: Share, name: str) -> str:
    assert share.to is not None
    if not share.to.candidates:
        return f"start an instance: tulle run {name.partition('.')[0]} -- COMMAND"
    return f"see why its instances are out above, and mend that: tulle services {name.partition('.')[0]}"


def _place(route: HttpRoute, shown: Shown) -> PlaceView | None:
    return shown.place(route.source, route.place) if route.source else None


def _does(route: HttpRoute) -> str:
    action = route.action
    if isinstance(action, Redirect):
        return f"redirects with {action.code}"
    if isinstance(action, Respond):
        return f"answers {action.status} itself"
    shares = map(_to, action.backends)
    return f"sends it to {', '.join(shares)}"


def _to(weighted: Weighted) -> str:
    ref = weighted.backend
    if ref is None:
        return weighted.missing
    return f"{ref.destination} subset {ref.subset}" if ref.subset else str(ref.destination)


def _further(route: HttpRoute) -> Iterator[str]:
    fault, action = route.fault, route.action
    if fault is not None and fault.delay_percent:
        yield f"a fault delays {fault.delay_percent:g} % of requests by {_length(fault.delay)}"
    if fault is not None and fault.abort_percent:
        with_ = f"the gRPC status {fault.abort_grpc}" if fault.abort_grpc else str(fault.abort_http)
        yield f"a fault answers {fault.abort_percent:g} % of requests with {with_}"
    if not isinstance(action, Forward):
        return
    if action.rewrite.path or action.rewrite.regex:
        yield "the path is rewritten"
    if action.timeout is not None:
        yield f"the answer must come within {_length(action.timeout)}"
    yield _tried_again(action.retries)
    for mirror in action.mirrors:
        yield f"{mirror.percent:g} % are copied to {mirror.backend.destination}"


def _tried_again(retries: Retries | None) -> str:
    if retries is None:
        return "tried again at up to 3 other instances where that is safe (the mesh's default)"
    if retries.attempts == 0:
        return "never tried again"
    within = f", each within {_length(retries.per_try)}" if retries.per_try else ""
    return f"tried again up to {retries.attempts} times on {retries.on}{within}"


def _limits(policy: Policy) -> Iterator[str]:
    pool = policy.pool
    for most, what in (
        (pool.max_connections, "connections"),
        (pool.max_pending_requests, "waiting requests"),
        (pool.max_requests, "requests at a time"),
        (pool.max_retries, "retries at a time"),
    ):
        if most is not None:
            yield f"at most {most} {what}; beyond that 503 with the flag UO"
    out = policy.outliers
    counts = (
        (out.consecutive_5xx, "5xx answers"),
        (out.consecutive_gateway, "gateway errors (502, 503, 504)"),
        (out.consecutive_local if out.split_local else 0, "failures to reach it"),
    )
    for number, what in counts:
        if number:
            yield f"an instance is left out for {_length(out.base_ejection)} after {number} {what} in a row"


def _length(nanoseconds: int) -> str:
    milliseconds = nanoseconds / _NANOSECONDS
    return f"{milliseconds:g} ms" if milliseconds < 1000 else f"{milliseconds / 1000:g} s"
