"""Headers that a route, or a weighted cluster of it, sets, adds and removes. What is removed goes first."""

from __future__ import annotations

from typing import Any

from tulle.ir.routes import HeaderOperations, Headers
from tulle.translate.answers import set_header


def header_changes(*levels: Headers) -> dict[str, Any]:
    """The fields of a Route or a ClusterWeight; of several levels that are written as one, the last comes last."""
    changes: dict[str, Any] = {}
    for direction in ("request", "response"):
        operations: list[HeaderOperations] = [getattr(level, direction) for level in levels]
        added = [change for each in operations for change in _added(each)]
        removed = [name for each in operations for name in each.remove]
        if added:
            changes[f"{direction}_headers_to_add"] = added
        if removed:
            changes[f"{direction}_headers_to_remove"] = removed
    return changes


def _added(operations: HeaderOperations) -> list[dict[str, Any]]:
    return [
        *(set_header(name, value) for name, value in operations.set),
        *(
            {"header": {"key": name, "value": value}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}
            for name, value in operations.add
        ),
    ]
