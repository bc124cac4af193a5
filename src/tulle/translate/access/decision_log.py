"""What access rules have decided against callers, for who runs the serving side: a line of JSON each, on Envoy's standard error.

The client is told nothing of the rules, so this tells everything: who asked for what, and which policy and rule denied it.
Also what a dry run would have denied, and what is to be audited. The agent reads the lines.
Source: Envoy, access log filters and format; RBAC filter, dynamic metadata (`shadow_engine_result`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.translate.access.custom import PREFIX
from tulle.translate.access.rule_sets import AUDIT, DRY_RUN_ALLOW, DRY_RUN_DENY
from tulle.translate.replies import access_denied

_HTTP, _TCP = "envoy.filters.http.rbac", "envoy.filters.network.rbac"
_STDERR = "envoy.extensions.access_loggers.stream.v3.StderrAccessLog"
_CEL = "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
_TRIED = {"audit": AUDIT, "would_deny": DRY_RUN_DENY, "would_not_allow": DRY_RUN_ALLOW}
# A connection is told when it has been made as well, for figures (translate/telemetry/metrics.py).
_AT_THE_END = {"log_type_filter": {"types": ["TcpConnectionEnd"]}}
_CALLER = {
    "caller": "%DOWNSTREAM_PEER_URI_SAN%",
    "address": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
    "to": "%REQUESTED_SERVER_NAME%",
}
# A query may hold secrets.
_REQUEST = {
    "method": "%REQ(:METHOD)%",
    "host": "%REQ(:AUTHORITY)%",
    "path": "%PATH(NQ)%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "status": "%RESPONSE_CODE%",
}


def http_decisions(*, tokens: bool = False, custom: bool = False) -> list[dict[str, Any]]:
    """An HTTP connection manager's `access_log`. tokens: whether they are checked. custom: whether a service decides."""
    log = [access_denied()]
    fields = {**_REQUEST, **_CALLER}
    if tokens:
        log.append(_of_details("startsWith('jwt_authn_access_denied')"))
    if custom:
        log.append(_of_details("startsWith('ext_authz_')"))
        fields["asked"] = f"%DYNAMIC_METADATA({_HTTP}:{PREFIX}shadow_effective_policy_id)%"
    return _log(_HTTP, log, fields)


def tcp_decisions() -> list[dict[str, Any]]:
    """A TCP proxy's `access_log`."""
    cut = message(_CEL)(expression="connection.termination_details.startsWith('rbac_access_denied')")
    denied = {"extension_filter": {"name": "cel", "typed_config": pack(cut)}}
    return _log(_TCP, [denied], {"details": "%CONNECTION_TERMINATION_DETAILS%", **_CALLER}, [_AT_THE_END])


def _of_details(test: str) -> dict[str, Any]:
    """What Envoy says of how the answer came about."""
    expression = message(_CEL)(expression=f"response.code_details.{test}")
    return {"extension_filter": {"name": "cel", "typed_config": pack(expression)}}


def _log(
    filter_: str, denied: list[dict[str, Any]], fields: dict[str, str], always: Sequence[dict[str, Any]] = ()
) -> list[dict[str, Any]]:
    said = {"": "shadow_effective_policy_id", "_result": "shadow_engine_result"}
    tried = {
        f"{name}{end}": f"%DYNAMIC_METADATA({filter_}:{prefix}{key})%"
        for name, prefix in _TRIED.items()
        for end, key in said.items()
    }
    format_ = {"json_format": {**fields, **tried}, "omit_empty_values": True}
    which = {"or_filter": {"filters": [*denied, *(_was_denied(filter_, prefix) for prefix in _TRIED.values())]}}
    if always:
        which = {"and_filter": {"filters": [*always, which]}}
    return [{"name": "decisions", "filter": which, "typed_config": pack(message(_STDERR)(log_format=format_))}]


def _was_denied(filter_: str, prefix: str) -> dict[str, Any]:
    """By shadow rules."""
    path = [{"key": f"{prefix}shadow_engine_result"}]
    matcher = {"filter": filter_, "path": path, "value": {"string_match": {"exact": "denied"}}}
    return {"metadata_filter": {"matcher": matcher, "match_if_key_not_found": {"value": False}}}
