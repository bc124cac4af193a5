"""Resources as the control plane has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote

from tulle.api.conventions import NO_NAMESPACE
from tulle.api.views import DeclaredView
from tulle.cli.client import ControlPlane, Query, Refused
from tulle.cli.exits import Failed
from tulle.model.names import DEFAULT_NAMESPACE
from tulle.model.resources.resource import Ref


def ref_of(kind: str, name: str, namespace: str | None) -> Ref:
    return Ref(kind, "" if kind == "MeshConfig" else namespace or DEFAULT_NAMESPACE, name)


def path_of(ref: Ref) -> str:
    parts = (ref.kind, ref.namespace or NO_NAMESPACE, ref.name)
    return f"/v1/resources/{'/'.join(quote(part, safe='') for part in parts)}"


def found(control_plane: ControlPlane, ref: Ref) -> DeclaredView | None:
    try:
        return control_plane.get(path_of(ref), DeclaredView)
    except Refused as refused:
        if refused.status == 404:
            return None
        raise


def existing(control_plane: ControlPlane, ref: Ref) -> DeclaredView:
    """Raises Failed if there is none."""
    if (resource := found(control_plane, ref)) is None:
        raise Failed(f"there is no {ref}; `tulle get {ref.kind.lower()} -A` lists them")
    return resource


def query_of(kinds: Sequence[str], namespace: str | None, labels: str = "") -> Query:
    """namespace: None for all."""
    query = [("kind", kind) for kind in kinds]
    query += [("namespace", namespace)] if namespace is not None else []
    return query + ([("labels", labels)] if labels else [])


def selected(
    control_plane: ControlPlane, kinds: Sequence[str], namespace: str | None, labels: str = ""
) -> list[DeclaredView]:
    """Sorted by kind, as the kinds are given, then namespace and name."""
    resources = control_plane.get("/v1/resources", list[DeclaredView], query_of(kinds, namespace, labels))
    return in_order(resources, kinds)


def in_order(resources: Iterable[DeclaredView], kinds: Sequence[str]) -> list[DeclaredView]:
    return sorted(resources, key=lambda one: (kinds.index(one.kind), one.namespace, one.name))
