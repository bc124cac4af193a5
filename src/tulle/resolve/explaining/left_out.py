"""Endpoints that the caller's own sidecar leaves out, taken from those that serve: what only that sidecar can say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil

from msgspec import Struct
from msgspec.structs import replace

from tulle.ir.policies import Outliers
from tulle.ir.routes import BackendRef
from tulle.resolve import backends
from tulle.resolve.explaining.explanation import Explained, Share
from tulle.resolve.explaining.reached import FARTHER, Candidate

_OUTLIER = "failed_outlier_check"
_SECOND = 1_000_000_000
_LONGEST = 300 * _SECOND  # Envoy's own max_ejection_time

_WHAT = {
    "CONSECUTIVE_5XX": "5xx answers",
    "CONSECUTIVE_GATEWAY_FAILURE": "gateway errors",
    "CONSECUTIVE_LOCAL_ORIGIN_FAILURE": "failures to reach it",
}


class Left(Struct, frozen=True):
    """An endpoint that a sidecar leaves out. reasons: Envoy's flags of a host's health.

    why: Envoy's word for the kind of errors for which it was ejected, "" if it is not known; seconds ago, for so many times.
    """

    reasons: tuple[str, ...]
    why: str = ""
    seconds: float = 0.0
    times: int = 0


# By address (`10.0.0.3:80`).
Seen = Mapping[str, Left]


def without(found: Explained, seen: Callable[[BackendRef], Seen]) -> Explained:
    """seen: what the sidecar says of a backend; nothing for what it does not hold."""
    return replace(found, shares=tuple(_share(share, seen) for share in found.shares))


def asked_about(found: Explained) -> tuple[BackendRef, ...]:
    """The backends of which a sidecar has to say something: those that anybody serves."""
    return tuple(
        dict.fromkeys(
            share.weighted.backend
            for share in found.shares
            if share.weighted.backend is not None and share.to is not None and share.to.serving
        )
    )


def _share(share: Share, seen: Callable[[BackendRef], Seen]) -> Share:
    ref, to = share.weighted.backend, share.to
    out = seen(ref) if ref is not None and to is not None else {}
    if not out or to is None or to.basis is None:
        return share
    outliers = backends.policy(to.basis).outliers
    left = tuple(_candidate(one, out.get(one.address), outliers) for one in to.candidates)
    if not any(not one.out for one in left):  # those farther away come in
        left = tuple(replace(one, out="") if one.out == FARTHER and one.address not in out else one for one in left)
    serving = {one.proxy for one in left if not one.out}
    doors = tuple((door, answer) for door, answer in share.doors if serving & set(door.proxies))
    return replace(share, to=replace(to, candidates=left), doors=doors)


def _candidate(one: Candidate, left: Left | None, outliers: Outliers) -> Candidate:
    if left is None or one.out:
        return one
    if _OUTLIER not in left.reasons:
        return replace(one, out=f"the caller's sidecar finds it unhealthy ({', '.join(left.reasons)})")
    return replace(one, out=f"ejected by the caller's sidecar ({_errors(left, outliers)}); {_back(left, outliers)}")


def _errors(left: Left, outliers: Outliers) -> str:
    """Which it was, if the sidecar says so."""
    numbers = {
        "CONSECUTIVE_5XX": outliers.consecutive_5xx,
        "CONSECUTIVE_GATEWAY_FAILURE": outliers.consecutive_gateway,
        "CONSECUTIVE_LOCAL_ORIGIN_FAILURE": outliers.consecutive_local if outliers.split_local else 0,
    }
    kinds = [left.why] if numbers.get(left.why) else [kind for kind, number in numbers.items() if number]
    return " or ".join(f"{numbers[kind]} {_WHAT[kind]}" for kind in kinds) + " in a row" if kinds else "for errors"


def _back(left: Left, outliers: Outliers) -> str:
    """Envoy multiplies by how often it was, less how long it was well since; so this is the latest."""
    base, longest = outliers.base_ejection / _SECOND, (outliers.max_ejection or _LONGEST) / _SECOND
    if not left.times:
        return f"it is back {base:g} s after that, each time later"
    rest = min(base * left.times, max(base, longest)) + outliers.interval / _SECOND - left.seconds
    return f"it is back in {max(1, ceil(rest))} s at most" if rest > 0 else "it is back soon"
