"""Policies that allow what was called, and nothing else: made of figures, and of requests that were watched."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from tulle.api.call_views import CalledView
from tulle.api.figure_views import CallerView
from tulle.api.views import ServiceView
from tulle.cli.access.paths import patterns
from tulle.cli.resources.yaml_text import api_of
from tulle.model.names import ServiceName

KIND = "AuthorizationPolicy"
_DRY_RUN = {"istio.io/dry-run": "true"}
_SPIFFE = "spiffe://"

Heard = dict[tuple[str, str], "Requests"]  # by service (`namespace/name`) and principal


class Requests(Struct):
    """What was seen of one caller's requests while somebody watched."""

    methods: set[str]
    paths: set[str]


class Suggestion(Struct, frozen=True):
    """notes: what it is made of, and what it could not know. document: None where nothing can be suggested."""

    service: str
    notes: list[str]
    document: dict[str, Any] | None


_MOST_PATHS = 1000


def hear(found: Heard, call: CalledView) -> None:
    """Adds one request to what was seen. What the program refused (4xx) is nothing that a rule has to allow."""
    if call.side == "destination" and call.identity and call.status and not 400 <= call.status < 500:
        requests = found.setdefault((call.destination, call.identity), Requests(set(), set()))
        requests.methods.add(call.method)
        requests.paths.add(call.path)
        if len(requests.paths) > _MOST_PATHS:
            requests.paths = set(patterns(requests.paths))


def app_labels(services: Iterable[ServiceView]) -> dict[str, str | None]:
    """By service the label `app` that its instances have, and no others of the namespace; None: there is none like that."""
    found = {
        (one.namespace, one.name): {instance.labels.get("app", one.name) for instance in one.instances} or {one.name}
        for one in services
    }
    owners = Counter((namespace, app) for (namespace, _), apps in found.items() for app in apps)
    return {
        f"{namespace}/{name}": min(apps) if len(apps) == 1 and owners[namespace, min(apps)] == 1 else None
        for (namespace, name), apps in found.items()
    }


def suggested(
    rows: Iterable[CallerView],
    apps: Mapping[str, str | None],
    watched: Heard | None = None,
    *,
    with_paths: bool = False,
    is_dry_run: bool = True,
) -> list[Suggestion]:
    """One for each service that was called. apps: as `app_labels` says.

    watched: None if nobody has watched; then rules are by caller and port.
    """
    by_service: defaultdict[tuple[str, str], list[CallerView]] = defaultdict(list)
    for row in rows:
        by_service[row.namespace, row.name].append(row)
    return [
        _suggestion(ServiceName(*name), by_service[name], apps, watched, with_paths, is_dry_run)
        for name in sorted(by_service)
    ]


def _suggestion(
    called: ServiceName,
    rows: list[CallerView],
    apps: Mapping[str, str | None],
    watched: Heard | None,
    with_paths: bool,
    is_dry_run: bool,
) -> Suggestion:
    service = f"{called.namespace}/{called.name}"
    notes = [_note(row) for row in rows]
    by_rule: defaultdict[tuple[Any, ...], set[str]] = defaultdict(set)
    useful = [row for row in rows if _is_allowed(row)]
    for principal in sorted({row.principal for row in useful}):
        own = [row for row in useful if row.principal == principal]
        requests = sorted({row.port for row in own if row.protocol != "tcp"})
        connections = sorted({row.port for row in own if row.protocol == "tcp"})
        seen = watched.get((service, principal)) if watched is not None else None
        if watched is not None and seen is None and requests:
            notes.append(f"{_short(principal)}: none of its requests was seen, so that it may make any")
        if seen is None:
            by_rule[(tuple(sorted({*requests, *connections})), (), ())].add(principal)
            continue
        paths = tuple(patterns(seen.paths)) if with_paths else ()
        if requests:
            by_rule[(tuple(requests), tuple(sorted(seen.methods)), paths)].add(principal)
        if connections:
            by_rule[(tuple(connections), (), ())].add(principal)
    app = apps.get(service, called.name)
    if app is None:
        notes.append("its instances have several labels app, or share one with others: no selector is for them alone")
    if not by_rule or app is None:
        return Suggestion(service, notes, None)
    rules = [_rule(principals, *what) for what, principals in sorted(by_rule.items())]
    metadata: dict[str, Any] = {"name": f"{called.name}-callers", "namespace": called.namespace}
    if is_dry_run:
        metadata["annotations"] = _DRY_RUN
    spec = {"selector": {"matchLabels": {"app": app}}, "action": "ALLOW", "rules": rules}
    return Suggestion(service, notes, {"apiVersion": api_of(KIND), "kind": KIND, "metadata": metadata, "spec": spec})


def _is_allowed(row: CallerView) -> bool:
    """Whether a rule by principal and port can allow it, and ought to: not what was refused whenever it was tried."""
    return bool(row.principal and row.port) and row.requests - row.refused + row.connections > 0


def _note(row: CallerView) -> str:
    what = f"{row.connections} connections" if row.protocol == "tcp" else f"{row.requests} requests"
    port = f"port {row.port}" if row.port else "an unknown port"
    text = f"{_short(row.principal) if row.principal else row.caller}: {what} to {port}"
    if not row.principal:
        return f"{text} in plain text, which proves nothing: no rule allows them"
    if not row.port:
        return f"{text}: left out"
    if not _is_allowed(row):
        return f"{text}, all refused (403): left out" if row.requests else f"{text}: left out"
    return f"{text}, {row.refused} of them refused (403)" if row.refused else text


def _rule(
    principals: set[str], ports: tuple[int, ...], methods: tuple[str, ...], paths: tuple[str, ...]
) -> dict[str, Any]:
    operation: dict[str, Any] = {"ports": [str(port) for port in ports]}
    if methods:
        operation["methods"] = list(methods)
    if paths:
        operation["paths"] = list(paths)
    return {
        "from": [{"source": {"principals": [_short(one) for one in sorted(principals)]}}],
        "to": [{"operation": operation}],
    }


def _short(principal: str) -> str:
    """As policies name it."""
    return principal.removeprefix(_SPIFFE)
