"""What a route does with the requests that it fits: to where they go, or what they are answered.

Source: Istio, Virtual Service, HTTPRoute. A destination that does not exist, and only its share of the requests, is
answered with 503.
"""

from __future__ import annotations

from base64 import b64decode

from tulle.ir.routes import (
    BackendRef,
    Cors,
    Fault,
    Forward,
    Mirror,
    Redirect,
    Respond,
    Retries,
    Rewrite,
    Text,
    TextMatch,
    Weighted,
)
from tulle.model.durations import nanoseconds
from tulle.model.resources.common import Destination, Percent
from tulle.model.resources.virtual_service import (
    CorsPolicy,
    HTTPDirectResponse,
    HTTPFaultInjection,
    HTTPRedirect,
    HTTPRoute,
    HTTPRouteDestination,
    RedirectPortSelection,
    UnmatchedPreflights,
)
from tulle.resolve.callers import Names
from tulle.resolve.header_changes import authority, header_changes
from tulle.resolve.http_matches import text
from tulle.resolve.retries import retries

_PORTS_OF_SCHEMES = {"http": 80, "https": 443}


def action(
    route: HTTPRoute, namespace: str, port: int, names: Names, default_retries: Retries | None
) -> Forward | Redirect | Respond:
    """The route's action for requests to `port`, in a document of `namespace`."""
    if route.redirect is not None:
        return _redirect(route.redirect, port)
    if route.direct_response is not None:
        return _respond(route.direct_response)
    parts = route.route if len(route.route) == 1 else tuple(part for part in route.route if part.weight > 0)
    backends = tuple(_weighted(part, namespace, port, names, alone=len(route.route) == 1) for part in parts)
    return Forward(
        backends=backends or (Weighted(None, missing="no destination with a weight"),),
        rewrite=_rewrite(route, backends[0].authority if len(route.route) == 1 else ""),
        timeout=(nanoseconds(route.timeout) or None) if route.timeout else None,
        retries=retries(route.retries) if route.retries is not None else default_retries,
        mirrors=_mirrors(route, namespace, port, names),
    )


def fault(injection: HTTPFaultInjection | None) -> Fault | None:
    """Delay and abort. None if neither ever happens: Istio's percentage of what does not say one is 0."""
    if injection is None:
        return None
    delay, abort = injection.delay, injection.abort
    delay_percent = _percent(delay.percentage, delay.percent) if delay and delay.fixed_delay else 0.0
    abort_percent = _percent(abort.percentage, 0) if abort and (abort.http_status or abort.grpc_status) else 0.0
    if not delay_percent and not abort_percent:
        return None
    return Fault(
        delay=nanoseconds(delay.fixed_delay or "") or 0 if delay and delay_percent else 0,
        delay_percent=delay_percent,
        abort_http=abort.http_status or 0 if abort and abort_percent else 0,
        abort_grpc=abort.grpc_status or "" if abort and abort_percent else "",
        abort_percent=abort_percent,
    )


def cors(policy: CorsPolicy | None) -> Cors | None:
    """Who may call from pages of other origins. `allowOrigin` counts where `allowOrigins` is not given."""
    if policy is None:
        return None
    exact = tuple(TextMatch(Text.EXACT, origin) for origin in policy.allow_origin)
    return Cors(
        origins=tuple(text(origin) for origin in policy.allow_origins) or exact,
        methods=policy.allow_methods,
        headers=policy.allow_headers,
        expose=policy.expose_headers,
        max_age=nanoseconds(policy.max_age) if policy.max_age is not None else None,
        credentials=policy.allow_credentials,
        forward_unmatched=policy.unmatched_preflights is not UnmatchedPreflights.IGNORE,
    )


def _redirect(redirect: HTTPRedirect, port: int) -> Redirect:
    """The port is left out where it is the scheme's own; Istio's sidecars take calls in plain HTTP."""
    wanted = port if redirect.derive_port is RedirectPortSelection.FROM_REQUEST_PORT else redirect.port
    if wanted == _PORTS_OF_SCHEMES.get(redirect.scheme or "http"):
        wanted = None
    return Redirect(
        path=redirect.uri,
        prefix=redirect.prefix_rewrite,
        authority=redirect.authority,
        scheme=redirect.scheme,
        port=wanted,
        code=redirect.redirect_code or 301,
    )


def _respond(response: HTTPDirectResponse) -> Respond:
    body = response.body
    if body is None:
        return Respond(response.status)
    return Respond(response.status, b64decode(body.bytes) if body.bytes is not None else (body.string or "").encode())


def _weighted(part: HTTPRouteDestination, namespace: str, port: int, names: Names, *, alone: bool) -> Weighted:
    backend = _backend(part.destination, namespace, port, names)
    return Weighted(
        backend,
        weight=1 if alone else part.weight,
        headers=header_changes(part.headers),
        authority=authority(part.headers),
        missing="" if backend else _missing(part.destination),
    )


def _backend(destination: Destination | None, namespace: str, port: int, names: Names) -> BackendRef | None:
    if destination is None:
        return None
    number = destination.port.number or None if destination.port else None
    found = names.destination(destination.host, namespace, number, port)
    if found is None or (destination.subset and not names.has_subset(found, destination.subset)):
        return None
    return BackendRef(found, destination.subset)


def _missing(destination: Destination | None) -> str:
    """A destination as its document writes it."""
    if destination is None:
        return "no host"
    subset = f"subset {destination.subset} of " if destination.subset else ""
    port = f":{destination.port.number}" if destination.port else ""
    return f"{subset}host {destination.host}{port}"


def _rewrite(route: HTTPRoute, of_only_destination: str) -> Rewrite:
    """The authority by `rewrite`, else by the route's headers, else by those of its only destination."""
    rewrite = route.rewrite
    host = (rewrite.authority if rewrite else "") or authority(route.headers) or of_only_destination
    if rewrite is None:
        return Rewrite(authority=host)
    if (regex := rewrite.uri_regex_rewrite) is not None:
        return Rewrite(authority=host, regex=(regex.match, regex.rewrite))
    return Rewrite(path=rewrite.uri, authority=host)


def _mirrors(route: HTTPRoute, namespace: str, port: int, names: Names) -> tuple[Mirror, ...]:
    """Copies to nobody, and to 0 % of the requests, are none."""
    asked = [(mirror.destination, _percent(mirror.percentage, 100)) for mirror in route.mirrors]
    if route.mirror is not None:
        share = 100 if route.mirror_percent is None else route.mirror_percent
        asked.insert(0, (route.mirror, _percent(route.mirror_percentage, share)))
    found = [(_backend(destination, namespace, port, names), percent) for destination, percent in asked if percent > 0]
    return tuple(Mirror(backend, percent) for backend, percent in found if backend is not None)


def _percent(percentage: Percent | None, otherwise: float) -> float:
    return float(otherwise) if percentage is None else percentage.value
