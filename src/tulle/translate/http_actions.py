"""What a route does with a request that it fits, in Envoy's words."""

from __future__ import annotations

from typing import Any

from tulle.ir.routes import Forward, HttpRoute, Redirect, Respond, Weighted
from tulle.translate import names
from tulle.translate.answers import duration, share
from tulle.translate.header_changes import header_changes
from tulle.translate.retries import users_retries

_REDIRECT_CODES = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}


def action(route: HttpRoute) -> dict[str, Any]:
    """The fields of a Route that act, with its headers. Without retries of a user's own there is no retry policy yet."""
    match route.action:
        case Redirect():
            return {"redirect": _redirect(route.action), **header_changes(route.headers)}
        case Respond():
            return {"direct_response": _respond(route.action), **header_changes(route.headers)}
        case Forward(backends=(only,)):
            return {"route": _forward(route.action), **header_changes(route.headers, only.headers)}
        case Forward():
            return {"route": _forward(route.action), **header_changes(route.headers)}


def missing(action: Forward) -> str:
    """What of its destinations does not exist, for the caller who comes by its share; empty if all do."""
    return ", ".join(weighted.missing for weighted in action.backends if weighted.backend is None)


def _forward(action: Forward) -> dict[str, Any]:
    # No bound but a user's: a program may take as long as it likes to answer, and to say its next word.
    settings: dict[str, Any] = {"timeout": duration(action.timeout or 0), "idle_timeout": {}}
    if len(action.backends) == 1:
        settings["cluster"] = cluster(action.backends[0])
    else:
        settings["weighted_clusters"] = {"clusters": [_weighted(weighted) for weighted in action.backends]}
    rewrite = action.rewrite
    if rewrite.path:
        settings["prefix_rewrite"] = rewrite.path
    if rewrite.regex is not None:
        pattern, substitution = rewrite.regex
        settings["regex_rewrite"] = {"pattern": {"regex": pattern}, "substitution": substitution}
    if rewrite.authority:
        settings["host_rewrite_literal"] = rewrite.authority
    if action.mirrors:
        settings["request_mirror_policies"] = [
            {
                "cluster": names.backend(mirror.backend),
                "runtime_fraction": {"default_value": share(mirror.percent)},
            }
            for mirror in action.mirrors
        ]
    if action.retries is not None:
        settings["retry_policy"] = users_retries(action.retries)
    return settings


def _weighted(weighted: Weighted) -> dict[str, Any]:
    rewrite = {"host_rewrite_literal": weighted.authority} if weighted.authority else {}
    weight = {"value": weighted.weight}
    return {"name": cluster(weighted), "weight": weight, **header_changes(weighted.headers), **rewrite}


def cluster(weighted: Weighted) -> str:
    """Where its share goes."""
    if weighted.backend is None:
        return names.NOWHERE
    return names.backend(weighted.backend)


def _redirect(redirect: Redirect) -> dict[str, Any]:
    settings: dict[str, Any] = {"response_code": _REDIRECT_CODES[redirect.code], "host_redirect": redirect.authority}
    if redirect.prefix:
        settings["prefix_rewrite"] = redirect.prefix
    elif redirect.path:
        settings["path_redirect"] = redirect.path
    if redirect.scheme:
        settings["scheme_redirect"] = redirect.scheme
    if redirect.port is not None:
        settings["port_redirect"] = redirect.port
    return settings


def _respond(respond: Respond) -> dict[str, Any]:
    return {"status": respond.status, **({"body": {"inline_bytes": respond.body}} if respond.body else {})}
