"""When an endpoint is left out for a while. Source: Envoy, Outlier detection, and OutlierDetection."""

from __future__ import annotations

from typing import Any

from tulle.ir.policies import Outliers
from tulle.translate.durations import duration

_CODES_OF_5XX = (500, 599)


def outlier_detection(outliers: Outliers) -> dict[str, Any]:
    """By errors in a row alone, never by comparing endpoints.

    By default an instance that cannot be reached, or answers 502, 503 or 504 five times in a row, is left out for 5 s (longer
    each time). A program's own 500s are its answers, no sign that it is ill.
    """
    found: dict[str, Any] = {
        "interval": duration(outliers.interval),
        "base_ejection_time": duration(outliers.base_ejection),
        "max_ejection_percent": {"value": outliers.max_ejection_percent},
        **_enforced("consecutive_gateway_failure", outliers.consecutive_gateway),
        **_enforced("consecutive_5xx", outliers.consecutive_5xx),
        "enforcing_success_rate": {"value": 0},
        "enforcing_local_origin_success_rate": {"value": 0},
    }
    if outliers.at_least_one:
        found["always_eject_one_host"] = {"value": True}
    if outliers.max_ejection is not None:
        found["max_ejection_time"] = duration(outliers.max_ejection)
    if outliers.split_local:
        found["split_external_local_origin_errors"] = True
        found["consecutive_local_origin_failure"] = {"value": outliers.consecutive_local}
    return found


def error_matcher(outliers: Outliers) -> dict[str, Any]:
    """Which answers count as errors, as part of a cluster's HTTP options: 5xx, and the codes that a user adds."""
    if not outliers.codes:
        return {}
    low, high = _CODES_OF_5XX
    ranges = [{"start": low, "end": high + 1}, *({"start": code, "end": code + 1} for code in outliers.codes)]
    rules = [
        {"http_response_headers_match": {"headers": [{"name": ":status", "range_match": found}]}} for found in ranges
    ]
    return {"outlier_detection": {"error_matcher": {"or_match": {"rules": rules}}}}


def _enforced(name: str, errors: int) -> dict[str, Any]:
    """0 errors: never for that reason."""
    enforcing = {f"enforcing_{name}": {"value": 100 if errors else 0}}
    return {name: {"value": errors}, **enforcing} if errors else enforcing
