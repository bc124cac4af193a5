"""`headers`: what is set, added and removed. `Host` is no header that can be changed so: setting it rewrites the authority.

Source: Istio, Virtual Service, Headers.HeaderOperations; pseudo headers are left as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

from tulle.ir.routes import HeaderOperations, Headers
from tulle.model.resources import virtual_service as istio


def header_changes(headers: istio.Headers | None) -> Headers:
    """All but the authority."""
    if headers is None:
        return Headers()
    return Headers(_operations(headers.request), _operations(headers.response))


def authority(headers: istio.Headers | None) -> str:
    """What is to be the request's authority; empty if nothing is said. `set` goes before `add`."""
    request = headers.request if headers else None
    given = [*request.set.items(), *request.add.items()] if request else []
    return next((value for name, value in given if name.lower() in ("host", ":authority") and value), "")


def _operations(operations: istio.HeaderOperations | None) -> HeaderOperations:
    if operations is None:
        return HeaderOperations()
    remove = tuple(name for name in operations.remove if _changeable(name))
    return HeaderOperations(_sorted(operations.set), _sorted(operations.add), remove)


def _sorted(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, headers[name]) for name in sorted(headers) if _changeable(name))


def _changeable(name: str) -> bool:
    return not name.startswith(":") and name.lower() != "host"
