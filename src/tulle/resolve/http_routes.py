"""A VirtualService's HTTP routes as one caller has them: one route for each of its matches, in order.

Leaves to others which VirtualService counts for a host, and what its hosts and subsets are (callers.Names).
"""

from __future__ import annotations

from tulle.ir.routes import HttpMatch, HttpRoute, Retries
from tulle.model.resources.resource import Ref
from tulle.model.resources.virtual_service import HTTPMatchRequest, VirtualService
from tulle.resolve.callers import Caller, Delegates, Names
from tulle.resolve.delegation import Routed, routed
from tulle.resolve.header_changes import header_changes
from tulle.resolve.http_actions import action, cors, fault
from tulle.resolve.http_matches import MESH_GATEWAY, concerns, fits_all, http_match


def http_routes(
    spec: VirtualService,
    ref: Ref,
    caller: Caller,
    port: int,
    names: Names,
    delegates: Delegates,
    default_retries: Retries | None = None,
) -> tuple[HttpRoute, ...]:
    """The routes for the caller's requests to `port`, until the first that fits all of them; none if none is for it.

    default_retries: of routes that do not say any (MeshConfig, `defaultHttpRetryPolicy`); None for tulle's own.
    """
    if spec.gateways and MESH_GATEWAY not in spec.gateways:
        return ()
    found: list[HttpRoute] = []
    for part in routed(spec, ref, delegates):
        for match in part.route.match or (None,):
            if match is None or concerns(match, caller, port):
                found.append(_route(part, match, port, names, default_retries))
                if fits_all(found[-1].match):
                    return tuple(found)
    return tuple(found)


def _route(
    part: Routed, match: HTTPMatchRequest | None, port: int, names: Names, default_retries: Retries | None
) -> HttpRoute:
    route = part.route
    suffix = f".{match.name}" if match and match.name else ""
    return HttpRoute(
        match=http_match(match) if match else HttpMatch(),
        action=action(route, part.ref.namespace, port, names, default_retries),
        name=f"{route.name}{suffix}",
        source=str(part.ref),
        headers=header_changes(route.headers),
        fault=fault(route.fault),
        cors=cors(route.cors_policy),
        stat_prefix=match.stat_prefix if match else "",
        place=part.place,
    )
