"""Faults that a user has injected: what is delayed, what is aborted, and how often."""

from __future__ import annotations

from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.routes import Fault
from tulle.model.grpc_statuses import GRPC_STATUSES
from tulle.translate.answers import duration, share

FAULT_FILTER = "envoy.filters.http.fault"
_FAULT = "envoy.extensions.filters.http.fault.v3.HTTPFault"


def fault_filter() -> dict[str, Any]:
    """In a manager's chain it does nothing but where a route says so."""
    return {"name": FAULT_FILTER, "typed_config": pack(message(_FAULT)())}


def fault(value: Fault) -> Any:
    """A route's own."""
    parts: dict[str, Any] = {}
    if value.delay_percent:
        parts["delay"] = {"fixed_delay": duration(value.delay), "percentage": share(value.delay_percent)}
    if value.abort_percent:
        grpc = {"grpc_status": GRPC_STATUSES.index(value.abort_grpc)} if value.abort_grpc else {}
        parts["abort"] = {
            **(grpc or {"http_status": value.abort_http}),
            "percentage": share(value.abort_percent),
        }
    return pack(message(_FAULT)(**parts))
