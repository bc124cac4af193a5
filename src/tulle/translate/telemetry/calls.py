"""Single requests, told to the agent: those that failed or were slow, and all of them while somebody looks (`tulle tap`).

A line of JSON each, on Envoy's standard error. Whether all are told is a value of Envoy's runtime, which the agent sets: no
listener changes for it, and off it costs the comparison. What callers write is the method, the path without its query,
and the host. Source: Envoy, access log filters and format; runtime.
"""

from __future__ import annotations

from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.telemetry import Reporter
from tulle.model.calls import ABOUT, SLOW_MS, TAP_KEY
from tulle.model.grpc_statuses import FAILED, GRPC_STATUSES

_STDERR = "envoy.extensions.access_loggers.stream.v3.StderrAccessLog"
_FAILED = [GRPC_STATUSES[int(number)] for number in FAILED]
_GRPC = {"header_filter": {"header": {"name": "content-type", "string_match": {"prefix": "application/grpc"}}}}
_FIELDS = {
    ABOUT: "call",
    "time": "%START_TIME(%s.%3f)%",
    "method": "%REQ(:METHOD)%",
    "host": "%REQ(:AUTHORITY)%",
    "path": "%PATH(NQ)%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    "grpc": "%GRPC_STATUS_NUMBER%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "duration": "%DURATION%",
    "sent": "%BYTES_SENT%",
    "received": "%BYTES_RECEIVED%",
    "id": "%REQ(X-REQUEST-ID)%",
    "trace": "%TRACE_ID%",
    "route": "%ROUTE_NAME%",
    "cluster": "%UPSTREAM_CLUSTER%",
    "upstream": "%UPSTREAM_HOST%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
}
_PEER = {
    Reporter.SOURCE: {"peer": "%UPSTREAM_METADATA(tulle:peer)%", "peer_id": "%UPSTREAM_PEER_URI_SAN%"},
    Reporter.DESTINATION: {"peer": "%DOWNSTREAM_PEER_DNS_SAN%", "peer_id": "%DOWNSTREAM_PEER_URI_SAN%"},
}


def told_calls(reporter: Reporter, port: str = "") -> list[dict[str, Any]]:
    """Of an HTTP connection manager's `access_log`. port: as http_observed's."""
    fields = {**_FIELDS, "side": reporter.value, **_PEER[reporter], **({"port": port} if port else {})}
    log = message(_STDERR)(log_format={"json_format": fields, "omit_empty_values": True})
    filters = [
        _at_least("status_code_filter", 500, "tulle.told_status"),
        _at_least("duration_filter", SLOW_MS, "tulle.told_milliseconds"),
        {"response_flag_filter": {}},
        # Of what is not gRPC, Envoy takes every answer for one of status UNKNOWN, a 200 as well.
        {"and_filter": {"filters": [_GRPC, {"grpc_status_filter": {"statuses": _FAILED}}]}},
        {"runtime_filter": {"runtime_key": TAP_KEY, "percent_sampled": {"numerator": 0}}},
    ]
    return [{"name": "calls", "filter": {"or_filter": {"filters": filters}}, "typed_config": pack(log)}]


def _at_least(filter_: str, least: int, key: str) -> dict[str, Any]:
    return {filter_: {"comparison": {"op": "GE", "value": {"default_value": least, "runtime_key": key}}}}
