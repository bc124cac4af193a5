"""Services as people name them, and what they may have meant by a name that is none."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from tulle.api.views import ServiceView
from tulle.cli.client import ControlPlane
from tulle.cli.exits import Failed
from tulle.model.names import DEFAULT_NAMESPACE


def service_id(text: str, namespace: str | None) -> str:
    """`name`, in that namespace or else `default`, or `namespace/name`; a host outside the mesh is as it is."""
    return text if "/" in text or "." in text else f"{namespace or DEFAULT_NAMESPACE}/{text}"


def missing(services: Iterable[ServiceView], wanted: str) -> str:
    """Why there is nothing of a service_id; "" if there is such a service."""
    known = {f"{one.namespace}/{one.name}" if one.namespace else one.name: one.name for one in services}
    if wanted in known:
        return ""
    name = wanted.rpartition("/")[2]
    elsewhere = sorted(id for id, label in known.items() if label == name)
    near = [*elsewhere, *get_close_matches(wanted, known, 1)]
    hint = f"did you mean {near[0].removeprefix(f'{DEFAULT_NAMESPACE}/')}?" if near else "`tulle services` lists them"
    return f"there is no service {wanted}; {hint}"


def check(control_plane: ControlPlane, wanted: str) -> None:
    """Where nothing was found of a service. Raises Failed if there is none of that name."""
    if problem := missing(control_plane.get("/v1/services", list[ServiceView]), wanted):
        raise Failed(problem)
