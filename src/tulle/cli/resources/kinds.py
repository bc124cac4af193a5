"""Kinds as people type them: `vs`, `virtualservice`, `VirtualServices`, `virtualservices.networking.istio.io`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from tulle.cli.exits import Mistakes
from tulle.model.resources.resource import SPECS

_SHORT = {
    "vs": "VirtualService",
    "dr": "DestinationRule",
    "se": "ServiceEntry",
    "we": "WorkloadEntry",
    "wg": "WorkloadGroup",
    "pa": "PeerAuthentication",
    "ra": "RequestAuthentication",
    "ap": "AuthorizationPolicy",
    "tel": "Telemetry",
}


def _plural(kind: str) -> str:
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"


_NAMES: Mapping[str, str] = {
    **{kind.lower(): kind for kind in SPECS},
    **{_plural(kind.lower()): kind for kind in SPECS},
    **_SHORT,
}


def kind_of(text: str) -> str:
    """Raises Mistakes."""
    if kind := _NAMES.get(text.lower().partition(".")[0]):
        return kind
    near = get_close_matches(text.lower(), _NAMES, 1)
    hint = f"did you mean {near[0]}?" if near else f"use {', '.join(sorted(SPECS))}"
    raise Mistakes([f"there is no kind {text!r}; {hint}"])


def kinds_of(text: str) -> list[str]:
    """Of `vs,dr`, or `all`."""
    return (
        list(SPECS) if text.lower() == "all" else list(dict.fromkeys(kind_of(part) for part in text.split(",") if part))
    )


def named(arguments: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """What `KIND[,KIND...]`, `KIND NAME...` or `KIND/NAME...` mean: kinds as a whole, or kinds with a name each.

    Raises Mistakes.
    """
    if any("/" in one for one in arguments):
        pairs = [one.partition("/") for one in arguments]
        if strange := [kind for kind, slash, name in pairs if not slash or not name or "/" in name]:
            raise Mistakes([f"{strange[0]!r} stands among KIND/NAME, and is none"])
        return [], [(kind_of(kind), name) for kind, _, name in pairs]
    kinds, names = kinds_of(arguments[0]), list(dict.fromkeys(arguments[1:]))
    if names:
        return [], [(kind, name) for kind in kinds for name in names]
    return kinds, []
