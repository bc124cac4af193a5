"""Access logs: to files, as text or JSON, and to collectors of OpenTelemetry.

Source: Envoy, access loggers `file` and `open_telemetry`, `extension_filters.cel`. The default formats are Istio's (`Get Envoy's
Access Logs`), and end with the id of the trace, so that a line leads to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.telemetry import AccessLog, Collector, LogEncoding
from tulle.translate import names
from tulle.translate.durations import duration

_LOGGERS = "envoy.extensions.access_loggers"
_NO_QUERY = "REQ_WITHOUT_QUERY("
# A line's parts, by the names that they have in JSON, in the order in which text has them.
_FIELDS = {
    "start_time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    "user_agent": "%REQ(USER-AGENT)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "authority": "%REQ(:AUTHORITY)%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
    "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "route_name": "%ROUTE_NAME%",
    "trace_id": "%TRACE_ID%",
}
_QUOTED = (
    "upstream_transport_failure_reason",
    "x_forwarded_for",
    "user_agent",
    "request_id",
    "authority",
    "upstream_host",
)


def _line() -> str:
    shown = {name: f'"{text}"' if name in _QUOTED else text for name, text in _FIELDS.items()}
    asked = " ".join(shown.pop(name) for name in ("method", "path", "protocol"))
    start = shown.pop("start_time")
    return f'[{start}] "{asked}" {" ".join(shown.values())}'


LINE = _line()


def request_logs(logs: Iterable[AccessLog]) -> list[dict[str, Any]]:
    """Loggers for a connection manager. Of a collector that can't be reached there is none."""
    return [_logger(log, _expression(log)) for log in _reachable(logs)]


def connection_logs(logs: Iterable[AccessLog]) -> list[dict[str, Any]]:
    """Loggers for a TCP proxy: of each connection, when it has ended."""
    ended = {"log_type_filter": {"types": ["TcpConnectionEnd"]}}
    return [_logger(log, [ended, *_expression(log)]) for log in _reachable(logs)]


def _reachable(logs: Iterable[AccessLog]) -> list[AccessLog]:
    return [log for log in logs if log.otlp is None or log.otlp.backend is not None]


def _logger(log: AccessLog, filters: list[dict[str, Any]]) -> dict[str, Any]:
    if log.otlp is not None:
        name, settings = "envoy.access_loggers.open_telemetry", _records(log, log.otlp)
    else:
        name, settings = "envoy.access_loggers.file", _file(log)
    made: dict[str, Any] = {"name": name, "typed_config": pack(settings)}
    if filters:
        made["filter"] = {"and_filter": {"filters": filters}} if len(filters) > 1 else filters[0]
    return made


def _expression(log: AccessLog) -> list[dict[str, Any]]:
    if not log.filter:
        return []
    expression = message(f"{_LOGGERS}.filters.cel.v3.ExpressionFilter")(expression=log.filter)
    cel = {"name": "envoy.access_loggers.extension_filters.cel", "typed_config": pack(expression)}
    return [{"extension_filter": cel}]


def _file(log: AccessLog) -> Any:
    """Envoy opens the file with the rights of the agent's user, and creates it if need be."""
    form: dict[str, Any] = {"omit_empty_values": log.omit_empty}
    if log.encoding is LogEncoding.JSON:
        fields = dict(log.fields) or _FIELDS
        form["json_format"] = message("google.protobuf.Struct")(
            fields={name: {"string_value": text} for name, text in fields.items()}
        )
        texts = "".join(fields.values())
    else:
        texts = log.text or LINE
        form["text_format_source"] = {"inline_string": texts if texts.endswith("\n") else f"{texts}\n"}
    if _NO_QUERY in texts:
        form["formatters"] = _formatters()
    return message(f"{_LOGGERS}.file.v3.FileAccessLog")(path=log.path, log_format=form)


def _records(log: AccessLog, to: Collector) -> Any:
    """By gRPC, gathered for a second or 16 KiB. What a collector does not take in time is lost."""
    assert to.backend is not None
    body = log.text or LINE
    cluster, timeout = names.backend(to.backend), duration(to.timeout)
    grpc = {
        "envoy_grpc": {"cluster_name": cluster, "authority": to.backend.destination.service.host},
        "timeout": timeout,
    }
    settings: dict[str, Any] = {
        "grpc_service": grpc,
        "log_name": log.name,
        "body": {"string_value": body},
        "attributes": {"values": [{"key": name, "value": {"string_value": text}} for name, text in log.fields]},
    }
    if _NO_QUERY in body + "".join(text for _, text in log.fields):
        settings["formatters"] = _formatters()
    return message(f"{_LOGGERS}.open_telemetry.v3.OpenTelemetryAccessLogConfig")(**settings)


def _formatters() -> list[dict[str, Any]]:
    settings = message("envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery")()
    return [{"name": "envoy.formatter.req_without_query", "typed_config": pack(settings)}]
