"""Single requests, told to the agent: those that failed or were slow, and all of them while somebody looks (`tulle tap`).

A line of JSON each, on Envoy's standard error. Whether all are told, and whether with their headers, is a value of Envoy's
runtime, which the agent sets: no listener changes for it, and off it costs the comparison. What callers write is the method, the
path without its query, and the host.

Those with headers hold secrets, of which the agent tells nobody (model/headers.py). They go to the standard output, by the same
file as access logs, of whose lines none is torn by another; on the standard error Envoy's own log may come in between, and what
is then left of a line would be taken for a part of that. Source: Envoy, access log filters and format, `TYPED_CEL`; runtime.
"""

from __future__ import annotations

from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.telemetry import Reporter
from tulle.model.calls import ABOUT, CALL, HEADERS, HEADERS_KEY, PLAIN_KEY, SLOW_MS, TAP_KEY
from tulle.model.grpc_statuses import FAILED, GRPC_STATUSES

_STDERR = "envoy.extensions.access_loggers.stream.v3.StderrAccessLog"
_FILE = "envoy.extensions.access_loggers.file.v3.FileAccessLog"
_FAILED = [GRPC_STATUSES[int(number)] for number in FAILED]
_GRPC = {"header_filter": {"header": {"name": "content-type", "string_match": {"prefix": "application/grpc"}}}}
_FIELDS = {
    ABOUT: CALL,
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
_HEADERS = {
    ABOUT: HEADERS,
    "request_headers": "%TYPED_CEL(request.headers)%",
    "response_headers": "%TYPED_CEL(response.headers)%",
    "response_trailers": "%TYPED_CEL(response.trailers)%",
}
_PEER = {
    Reporter.SOURCE: {"peer": "%UPSTREAM_METADATA(tulle:peer)%", "peer_id": "%UPSTREAM_PEER_URI_SAN%"},
    Reporter.DESTINATION: {"peer": "%DOWNSTREAM_PEER_DNS_SAN%", "peer_id": "%DOWNSTREAM_PEER_URI_SAN%"},
}


def told_calls(reporter: Reporter, port: str = "") -> list[dict[str, Any]]:
    """Of an HTTP connection manager's `access_log`. port: as http_observed's.

    While the second tells of a call, the first does not.
    """
    fields = {**_FIELDS, "side": reporter.value, **_PEER[reporter], **({"port": port} if port else {})}
    told = [
        _at_least("status_code_filter", 500, "tulle.told_status"),
        _at_least("duration_filter", SLOW_MS, "tulle.told_milliseconds"),
        {"response_flag_filter": {}},
        # Of what is not gRPC, Envoy takes every answer for one of status UNKNOWN, a 200 as well.
        {"and_filter": {"filters": [_GRPC, {"grpc_status_filter": {"statuses": _FAILED}}]}},
        _is_set(TAP_KEY, 0),
    ]
    # Of most calls the first of the two says no, so that the second costs them nothing.
    plainly = {"and_filter": {"filters": [{"or_filter": {"filters": told}}, _is_set(PLAIN_KEY, 100)]}}
    return [
        {"name": "calls", "filter": plainly, "typed_config": pack(message(_STDERR)(**_format(fields)))},
        {
            "name": "calls with headers",
            "filter": _is_set(HEADERS_KEY, 0),
            "typed_config": pack(message(_FILE)(path="/dev/stdout", **_format({**fields, **_HEADERS}))),
        },
    ]


def _format(fields: dict[str, str]) -> dict[str, Any]:
    return {"log_format": {"json_format": fields, "omit_empty_values": True}}


def _is_set(key: str, default: int) -> dict[str, Any]:
    """default: percent."""
    return {"runtime_filter": {"runtime_key": key, "percent_sampled": {"numerator": default}}}


def _at_least(filter_: str, least: int, key: str) -> dict[str, Any]:
    return {filter_: {"comparison": {"op": "GE", "value": {"default_value": least, "runtime_key": key}}}}
