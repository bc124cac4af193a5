"""Single requests as sidecars tell of them, and which of them somebody wants to see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from tulle.model.grpc_statuses import FAILED

ABOUT = "about"  # the first of the fields, as Envoy writes them in the order of their names
SLOW_MS = 1000
TAP_KEY, HEADERS_KEY = "tulle.tap", "tulle.tap_headers"  # of Envoy's runtime: 0, or 100 while somebody looks
PLAIN_KEY = "tulle.told_plainly"  # 100, or 0 while calls are told with their headers
CALL, HEADERS = "call", "call with headers"  # what ABOUT says
MOST_A_SECOND = 100
MOST_WITH_HEADERS = 100  # a second
MOST_AT_ONCE = 500  # in one report
TOLD_MS = 500  # after its end at most: by then Envoy has told of a call in spans and in lines
_LONGEST = 100


class Wanted(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which requests, until when, and how many a second of one sidecar. Empty fits all; several agree.

    status: `503`, `5xx`, or `error` for 5xx, no answer and failures of gRPC. path: how it begins. side: of who tells.
    headers: told as well, as model/headers.py has them.
    """

    seconds: float = 15.0
    most: int = MOST_A_SECOND
    method: str = ""
    path: str = ""
    status: str = ""
    side: str = ""
    min_ms: float = 0.0
    headers: bool = False


class WantedProblem(ValueError):
    """Nothing can be wanted like that. Its text is for people."""


def checked(wanted: Wanted) -> Wanted:
    """Raises WantedProblem."""
    status = wanted.status.lower()
    by_class = len(status) == 3 and status[0] in "12345" and (status[1:] == "xx" or status[1:].isdigit())
    if status and status != "error" and not (status.isascii() and by_class):
        raise WantedProblem(
            f"status {wanted.status[:_LONGEST]!r}: write a code such as 503, a class such as 5xx, or error"
        )
    if wanted.path and not wanted.path.startswith("/"):
        raise WantedProblem(f"path {wanted.path[:_LONGEST]!r} does not begin with /")
    if wanted.method and not (wanted.method.isascii() and wanted.method.isalpha()):
        raise WantedProblem(f"{wanted.method[:_LONGEST]!r} is no method")
    if not 0 <= wanted.min_ms < 1e9 or not 1 <= wanted.most <= MOST_A_SECOND * 10:
        raise WantedProblem(f"min_ms must be a length of time, and most from 1 to {MOST_A_SECOND * 10}")
    if wanted.headers and wanted.most > MOST_WITH_HEADERS:
        raise WantedProblem(f"with headers, no more than {MOST_WITH_HEADERS} requests a second of one sidecar are told")
    return wanted


def runtime(*, tapped: bool, headers: bool) -> dict[str, int]:
    """Of Envoy's runtime, what has it tell of all calls, with their headers or without; percent."""
    return {TAP_KEY: 100 * tapped, HEADERS_KEY: 100 * headers, PLAIN_KEY: 100 * (not headers)}


def is_wanted(wanted: Wanted, call: Mapping[str, Any]) -> bool:
    """call: as Envoy writes it."""
    return (
        (not wanted.method or call.get("method") == wanted.method.upper())
        and (not wanted.side or call.get("side") == wanted.side)
        and str(call.get("path", "")).startswith(wanted.path)
        and _number(call.get("duration")) >= wanted.min_ms
        and _has_status(wanted.status.lower(), call)
    )


def is_notable(call: Mapping[str, Any]) -> bool:
    """Whether it is told also when nobody looks. 4xx is the caller's own matter, unless a sidecar says it."""
    return _is_error(call) or _number(call.get("duration")) >= SLOW_MS or call.get("flags", "-") not in ("-", "")


def _has_status(status: str, call: Mapping[str, Any]) -> bool:
    if not status:
        return True
    if status == "error":
        return _is_error(call)
    code = str(int(_number(call.get("status"))))
    return code[:1] == status[0] if status.endswith("xx") else code == status


def _is_error(call: Mapping[str, Any]) -> bool:
    """As figures have it (telemetry/figures/flow.py)."""
    return _number(call.get("status")) >= 500 or call.get("status") == 0 or str(call.get("grpc", "-")) in FAILED


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
