"""Resources as YAML and JSON that can be applied again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import yaml

from tulle.api.views import DeclaredView
from tulle.model.resources.resource import APIS


class _Dumper(yaml.SafeDumper):
    """Quotes also what only YAML 1.2 takes for a number, and indents lists as people do."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"0o[0-7]+$"), ["0"])
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)
_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text.rstrip("\n") else None
    ),
)


def document_of(resource: DeclaredView, *, is_plain: bool = False) -> dict[str, Any]:
    """The resource in Istio's envelope. is_plain: without what tulle has added, as its user would write it."""
    metadata: dict[str, Any] = {"name": resource.name}
    if resource.kind != "MeshConfig":
        metadata["namespace"] = resource.namespace
    if resource.labels:
        metadata["labels"] = dict(resource.labels)
    if resource.annotations:
        metadata["annotations"] = dict(resource.annotations)
    if not is_plain:
        created = datetime.fromtimestamp(resource.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata["creationTimestamp"] = created
        metadata["generation"] = resource.generation
        metadata["resourceVersion"] = str(resource.revision)
    document = {"apiVersion": api_of(resource.kind), "kind": resource.kind, "metadata": metadata, "spec": resource.spec}
    return document if is_plain else {**document, "status": _status_of(resource)}


def _status_of(resource: DeclaredView) -> dict[str, Any]:
    """What came of it. `tulle apply` leaves it, as Kubernetes does."""
    there = resource.in_force
    found = [
        {"level": one.level.value, "code": one.code, "path": one.path, "message": one.message}
        for one in resource.findings
    ]
    status: dict[str, Any] = {"summary": resource.status, "needed": there.needed, "acknowledged": there.acknowledged}
    if there.rejected:
        status["rejected"] = [{"proxy": one.proxy, "reason": one.reason} for one in there.rejected]
    return {**status, "findings": found} if found else status


def api_of(kind: str) -> str:
    return str(APIS[kind])


def list_of(documents: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Several as one document, as kubectl prints them."""
    return {"apiVersion": "v1", "kind": "List", "items": list(documents)}


def to_yaml(*documents: Any) -> str:
    """One document, or several with a line of three dashes between them."""
    return "---\n".join(
        yaml.dump(one, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120) for one in documents
    )
