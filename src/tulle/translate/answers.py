"""Routes that answer at once, and the small pieces that all routes are made of."""

from __future__ import annotations

import json
from typing import Any


def answer(status: int, error: str) -> dict[str, Any]:
    """The action of a route: JSON that says what is wrong."""
    return {
        "direct_response": {
            "status": status,
            "body": {"inline_string": json.dumps({"error": error, "code": status})},
        },
        "response_headers_to_add": [set_header("content-type", "application/json")],
    }


def set_header(header: str, value: str) -> dict[str, Any]:
    return {"header": {"key": header, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def duration(nanoseconds: int) -> dict[str, int]:
    """google.protobuf.Duration."""
    seconds, nanos = divmod(nanoseconds, 10**9)
    return {"seconds": seconds, "nanos": nanos}


def share(percent: float) -> dict[str, Any]:
    """Envoy's FractionalPercent, to a ten-thousandth of a percent as Istio rounds it."""
    return {"numerator": int(percent * 10_000), "denominator": "MILLION"}
