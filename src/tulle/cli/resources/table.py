"""Resources as tables: for each kind the columns that its readers look for first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import click

from tulle.api.views import DeclaredView
from tulle.cli.printing import ago, print_table

Cell = Callable[[Mapping[str, Any]], str]


def _listed(name: str) -> Cell:
    return lambda spec: ",".join(map(str, spec.get(name, ()))) or "-"


def _text(name: str, default: str = "-") -> Cell:
    return lambda spec: str(spec.get(name) or default)


_TOLD = ("tracing", "metrics", "accessLogging")
_COLUMNS: Mapping[str, Sequence[tuple[str, Cell]]] = {
    "VirtualService": (("GATEWAYS", _listed("gateways")), ("HOSTS", _listed("hosts"))),
    "DestinationRule": (
        ("HOST", _text("host")),
        ("SUBSETS", lambda s: ",".join(x["name"] for x in s.get("subsets", ())) or "-"),
    ),
    "ServiceEntry": (
        ("HOSTS", _listed("hosts")),
        ("LOCATION", _text("location", "MESH_EXTERNAL")),
        ("RESOLUTION", _text("resolution", "NONE")),
    ),
    "WorkloadEntry": (("ADDRESS", _text("address")),),
    "PeerAuthentication": (("MODE", lambda s: s.get("mtls", {}).get("mode", "UNSET")),),
    "RequestAuthentication": (
        ("ISSUERS", lambda s: ",".join(x.get("issuer", "*") for x in s.get("jwtRules", ())) or "-"),
    ),
    "AuthorizationPolicy": (("ACTION", _text("action", "ALLOW")),),
    "Telemetry": (("TELLS OF", lambda s: ",".join(part for part in _TOLD if part in s) or "-"),),
}


def print_resources(resources: Sequence[DeclaredView], *, with_namespace: bool, is_wide: bool) -> None:
    """One table a kind; where there are several, names have their kind before them."""
    kinds = list(dict.fromkeys(one.kind for one in resources))
    for index, kind in enumerate(kinds):
        if index:
            click.echo()
        of_kind = [one for one in resources if one.kind == kind]
        print_table(*table(kind, of_kind, with_namespace=with_namespace, is_wide=is_wide, with_kind=len(kinds) > 1))


def table(
    kind: str, resources: Iterable[DeclaredView], *, with_namespace: bool, is_wide: bool, with_kind: bool
) -> tuple[list[str], list[list[str]]]:
    columns = _COLUMNS.get(kind, ())
    headers = [
        *(["NAMESPACE"] if with_namespace else []),
        "NAME",
        *(name for name, _ in columns),
        "IN FORCE",
        "STATUS",
        "AGE",
    ]
    headers += ["GENERATION", "LABELS", "WRITTEN IN"] if is_wide else []
    rows = []
    for one in resources:
        row = [one.namespace or "-"] if with_namespace else []
        row += [f"{kind.lower()}/{one.name}" if with_kind else one.name]
        row += [*(cell(one.spec) for _, cell in columns), share_of(one), one.status, ago(one.created)]
        row += [str(one.generation), labels_of(one), place_of(one)] if is_wide else []
        rows.append(row)
    return headers, rows


def share_of(resource: DeclaredView) -> str:
    """On how many of the proxies that need it, it is in force."""
    there = resource.in_force
    return f"{there.acknowledged}/{there.needed}" if there.needed else "-"


def labels_of(resource: DeclaredView) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(resource.labels.items())) or "-"


def place_of(resource: DeclaredView) -> str:
    return f"{resource.file}:{resource.line}" if resource.file else "-"
