"""Which role each path of the API asks for: the one table. A path that is not in it can't be served.

None is for anybody, also for strangers on other machines. VIEWER sees the mesh, of which nothing is secret: keys and tokens are
in no answer. ADMIN may do all, and is needed for every change. AGENT is for agents alone, at paths of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from tulle.identity.caller import Caller, Role

ROLES: Mapping[str, Role | None] = {
    "GET /v1/trust": None,
    "POST /v1/enrol": None,
    "POST /v1/agents/{proxy}": Role.AGENT,
    "POST /v1/agents/{proxy}/spans": Role.AGENT,
    "GET /v1/status": Role.VIEWER,
    "GET /v1/version": Role.VIEWER,
    "GET /v1/services": Role.VIEWER,
    "DELETE /v1/services/{namespace}/{name}": Role.ADMIN,
    "GET /v1/proxies": Role.VIEWER,
    "GET /v1/proxies/{name}": Role.VIEWER,
    "GET /v1/proxies/{name}/config": Role.VIEWER,
    "POST /v1/proxies/{name}/restart": Role.ADMIN,
    "POST /v1/proxies/{name}/weight": Role.ADMIN,
    "GET /v1/resources": Role.VIEWER,
    "POST /v1/resources": Role.ADMIN,
    "POST /v1/resources/delete": Role.ADMIN,
    "GET /v1/resources/{kind}/{namespace}/{name}": Role.VIEWER,
    "DELETE /v1/resources/{kind}/{namespace}/{name}": Role.ADMIN,
    "POST /v1/analysis": Role.VIEWER,
    "POST /v1/jwt-svids": Role.AGENT,
    "GET /v1/jwt-keys": Role.AGENT,
    "GET /v1/ca": Role.VIEWER,
    "POST /v1/ca/rotate": Role.ADMIN,
    "POST /v1/ca/finish": Role.ADMIN,
    "GET /v1/tokens": Role.ADMIN,
    "POST /v1/tokens": Role.ADMIN,
    "DELETE /v1/tokens/{id}": Role.ADMIN,
    "POST /v1/authz/check": Role.VIEWER,
    "GET /v1/authz/guards": Role.VIEWER,
    "POST /v1/explain/request": Role.VIEWER,
    "POST /v1/agents/{proxy}/calls": Role.AGENT,
    "POST /v1/agents/{proxy}/endpoints": Role.AGENT,
    "POST /v1/agents/{proxy}/metrics": Role.AGENT,
    "GET /v1/stats": Role.VIEWER,
    "GET /v1/graph": Role.VIEWER,
    "GET /v1/callers": Role.VIEWER,
    "GET /v1/history": Role.VIEWER,
    "GET /v1/stream": Role.VIEWER,
    "GET /v1/calls": Role.VIEWER,
    "GET /v1/calls/{id}": Role.VIEWER,
    "GET /v1/tap": Role.VIEWER,
    "GET /v1/tap/headers": Role.ADMIN,
    "GET /v1/logs": Role.VIEWER,
    "PUT /v1/logs/level": Role.ADMIN,
    "GET /v1/proxies/{name}/logs": Role.VIEWER,
    "PUT /v1/proxies/{name}/logs/level": Role.ADMIN,
    "POST /v1/agents/{proxy}/logs": Role.AGENT,
    "GET /v1/revocations": Role.VIEWER,
    "POST /v1/revocations": Role.ADMIN,
    "POST /v1/revocations/undo": Role.ADMIN,
    "GET /v1/users": Role.ADMIN,
    "POST /v1/users": Role.ADMIN,
    "DELETE /v1/users/{name}": Role.ADMIN,
    "GET /v1/audit": Role.ADMIN,
    "POST /v1/ui/tickets": Role.VIEWER,
    "POST /v1/ui/sign-in": None,
    "POST /v1/ui/sign-out": Role.VIEWER,
    "GET /v1/ui/me": Role.VIEWER,
    "GET /metrics": Role.VIEWER,
    "POST /v1/otlp/v1/traces": Role.ADMIN,
    "GET /v1/traces": Role.VIEWER,
    "GET /v1/traces/{id}": Role.VIEWER,
    "GET /api/services": Role.VIEWER,
    "GET /api/services/{service}/operations": Role.VIEWER,
    "GET /api/operations": Role.VIEWER,
    "GET /api/traces": Role.VIEWER,
    "GET /api/traces/{id}": Role.VIEWER,
    "GET /api/dependencies": Role.VIEWER,
    "GET /api/metrics/{kind}": Role.VIEWER,
    "GET /api/v3/services": Role.VIEWER,
    "GET /api/v3/operations": Role.VIEWER,
    "GET /api/v3/trace-summaries": Role.VIEWER,
    "GET /api/v3/traces/{id}": Role.VIEWER,
    "GET /v1/prometheus/targets": Role.VIEWER,
}


def ways(route: Route) -> list[str]:
    """What of the table a route serves. HEAD is GET without its answer's body."""
    return [f"{method} {route.path}" for method in sorted((route.methods or set()) - {"HEAD"})]


def check(routes: Iterable[Route]) -> None:
    """Raises ValueError if a path has no role, or a role no path."""
    served = {way for route in routes for way in ways(route)}
    if served != ROLES.keys():
        raise ValueError(f"api/roles.py and the routes differ in {sorted(served ^ ROLES.keys())}")


def way_of(routes: Iterable[BaseRoute], scope: Scope) -> str | None:
    """What of the table a request asks for; None if there is nothing at its path, or not by its method."""
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    for route in routes:
        match, _ = route.matches(scope)
        if match is Match.FULL and isinstance(route, Route):
            return f"{method} {route.path}"
    return None


# For which a browser's cookie alone is not enough, as for a change: other ports of the host get that as well.
WITH_KEY = frozenset({"GET /v1/tap/headers"})

# For anybody who comes in by loopback, as Prometheus does: figures, and nothing of whose they are but names.
OPEN_ON_LOOPBACK = frozenset({"GET /metrics", "GET /v1/prometheus/targets"})


def comes_to_browsers(way: str) -> bool:
    """Whether the door for browsers serves it: not what is for agents, who prove more than one can there."""
    return ROLES[way] is not Role.AGENT and way != "POST /v1/enrol"


def allows(caller: Caller, way: str | None, path: str) -> bool:
    """An agent on another machine gets what is for agents, and of sessions its own. Others learn where there is nothing."""
    if way is not None and ROLES[way] is None:
        return True
    if caller.role is Role.AGENT:
        of_one = way is not None and "/v1/agents/{proxy}" in way
        is_own = not of_one or f"{path}/".startswith(f"/v1/agents/{caller.proxy}/")
        return way is not None and ROLES[way] is Role.AGENT and is_own
    return way is None or caller.role in (Role.ADMIN, ROLES[way])
