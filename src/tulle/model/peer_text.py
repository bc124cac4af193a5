"""How the fields of a peer are written as one text. Apart from `peer.py`, as that needs msgspec, and agents have none."""

from __future__ import annotations

from collections.abc import Iterable

UNKNOWN_TEXT = "unknown"
LATEST = "latest"
NOBODY = (UNKNOWN_TEXT,) * 5 + (LATEST,)

_SUFFIX = "workload"
_LONGEST = 600
_ESCAPES = {"_": "_u", ".": "_d", "/": "_s"}
_NONE = "_n"


def written(fields: Iterable[str]) -> str:
    """`reviews-v1.default.reviews.v1.reviews.v1.workload`.

    fields: workload, namespace, app, version, canonical service and revision.
    """
    return ".".join([*map(_escaped, fields), _SUFFIX])


def read(text: str) -> tuple[str, ...] | None:
    """The inverse of `written`; None for anything else."""
    parts = text.split(".")
    if len(text) > _LONGEST or len(parts) != len(NOBODY) + 1 or parts[-1] != _SUFFIX or "" in parts:
        return None
    return tuple(map(_plain, parts[:-1]))


def _escaped(field: str) -> str:
    return "".join(_ESCAPES.get(each, each) for each in field) or _NONE


def _plain(field: str) -> str:
    if field == _NONE:
        return ""
    for plain, escaped in reversed(_ESCAPES.items()):
        field = field.replace(escaped, plain)
    return field
