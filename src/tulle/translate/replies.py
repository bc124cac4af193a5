"""What a sidecar itself answers when a call cannot be served: short JSON that says what happened and what to do.

Source: HttpConnectionManager, `local_reply_config`; the flags are those of access logs, `%RESPONSE_FLAGS%`. Answers of routes
(direct responses) carry no flag, so they pass unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.translate.names import HINT, METADATA, NOT_SERVED_HEADER

_HINT = f"%METADATA(ROUTE:{METADATA}:{HINT})%"

_CEL = "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
# With what Envoy's details of a response begin that access rules have denied.
DENIED = "rbac_access_denied"
# The same of a token that is not good.
NO_GOOD_TOKEN = "jwt_authn_access_denied"  # noqa: S105
# Envoy demands one; nobody sets it.
_RUNTIME_KEY = "tulle.status"
# The document whose route the call took.
_SOURCE = f"%METADATA(ROUTE:{METADATA}:source)%"


def outbound_replies() -> dict[str, Any]:
    """For the program that called."""
    return {
        "mappers": [
            # What a user has asked for is answered as it was asked for.
            {"filter": {"response_flag_filter": {"flags": ["FI"]}}},
            _mapper(
                ["NC"],
                f"{_SOURCE} sends the call to %REQ(:AUTHORITY)% where nothing is: %METADATA(ROUTE:{METADATA}:missing)%",
            ),
            _mapper(["UT"], f"the call to %REQ(:AUTHORITY)% took longer than {_SOURCE} allows"),
            _mapper(
                ["UO"],
                "the call to %REQ(:AUTHORITY)% is over a limit of its DestinationRule: there are as many calls, or "
                "connections, as it allows",
            ),
            _mapper(["DF"], "neither the mesh nor DNS knows the host %REQ(:AUTHORITY)%", hint=_HINT),
            _mapper(
                ["NR"],
                "no route to %REQ(:AUTHORITY)%: the name is malformed, or this sidecar asked for too many",
                status=503,
            ),
            _mapper(["UH"], "no instance of %REQ(:AUTHORITY)% is healthy now (see: tulle services)"),
            _mapper(
                ["SI"],
                "the call to %REQ(:AUTHORITY)% was silent for too long; is the control plane there (see: tulle status)?",
            ),
            _mapper_of_status(
                507,
                "the instance that was chosen took no connection, and the body of the call to %REQ(:AUTHORITY)% is too "
                "large (over 8 MiB) to be sent to another",
                status=503,
            ),
            _mapper(
                ["UF", "URX", "UC", "UR", "LR", "UPE"],
                "the call to %REQ(:AUTHORITY)% failed: %UPSTREAM_TRANSPORT_FAILURE_REASON%",
            ),
        ]
    }


def inbound_replies(*, tokens: bool = False, custom: bool = False) -> dict[str, Any]:
    """For the calling sidecar. A refused connection is marked: the program never saw the call, so any may be tried elsewhere.

    A call over a limit is not marked: one that is refused so as to spare the instances is not to go to the next of them.
    tokens: whether tokens are checked. custom: whether a service decides on calls.
    """
    return {
        "mappers": [
            _denied(),
            *([_no_good_token()] if tokens else []),
            *([_undecided()] if custom else []),
            _mapper(
                ["UO"], "the program behind this sidecar has as many calls as a DestinationRule allows (connectionPool)"
            ),
            _mapper(["UF", "UH"], "the program behind this sidecar takes no connection", unseen=True),
            _mapper(["UPE"], "the program behind this sidecar answered with something that is no proper HTTP"),
            _mapper(
                ["UC", "UR", "LR", "UT"],
                "the program behind this sidecar ended the connection before it answered",
            ),
        ]
    }


def access_denied() -> dict[str, Any]:
    """A filter of answers, and of the access log: those that access rules gave."""
    forbidden = {"op": "EQ", "value": {"default_value": 403, "runtime_key": _RUNTIME_KEY}}
    by_rules = message(_CEL)(expression=f"response.code_details.startsWith('{DENIED}')")
    both = [
        {"status_code_filter": {"comparison": forbidden}},
        {"extension_filter": {"name": "cel", "typed_config": pack(by_rules)}},
    ]
    return {"and_filter": {"filters": both}}


def _denied() -> dict[str, Any]:
    """Which of the rules it was is nothing that a caller may know: the log has it."""
    body = {"error": "access denied", "code": "%RESPONSE_CODE%"}
    return {"filter": access_denied(), "body_format_override": {"json_format": body}}


def _undecided() -> dict[str, Any]:
    """The service that decides could not be asked. What it decides is answered in its own words."""
    failed = message(_CEL)(expression="response.code_details == 'ext_authz_error'")
    body = {"error": "access can't be decided now", "code": "%RESPONSE_CODE%"}
    return {
        "filter": {"extension_filter": {"name": "cel", "typed_config": pack(failed)}},
        "body_format_override": {"json_format": body},
    }


def _no_good_token() -> dict[str, Any]:
    """Why it is none is for the caller to know. Envoy itself answers 403 to a token for another audience."""
    by_token = message(_CEL)(expression=f"response.code_details.startsWith('{NO_GOOD_TOKEN}')")
    body = {"error": "the token of this request is not good: %LOCAL_REPLY_BODY%", "code": "%RESPONSE_CODE%"}
    return {
        "filter": {"extension_filter": {"name": "cel", "typed_config": pack(by_token)}},
        "body_format_override": {"json_format": body},
        "status_code": {"value": 401},
    }


def _mapper(
    flags: Sequence[str], error: str, *, status: int | None = None, unseen: bool = False, hint: str = ""
) -> dict[str, Any]:
    mark = {"header": {"key": NOT_SERVED_HEADER, "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    marked = {"headers_to_add": [mark]} if unseen else {}
    return {"filter": {"response_flag_filter": {"flags": flags}}, **_body(error, status, hint), **marked}


def _mapper_of_status(given: int, error: str, *, status: int) -> dict[str, Any]:
    """Of a status that Envoy itself came to: a route that answers at once may have the same, and has no flag to tell by."""
    equal = {"op": "EQ", "value": {"default_value": given, "runtime_key": _RUNTIME_KEY}}
    not_asked_for = message(_CEL)(expression="response.code_details != 'direct_response'")
    both = [
        {"status_code_filter": {"comparison": equal}},
        {"extension_filter": {"name": "cel", "typed_config": pack(not_asked_for)}},
    ]
    return {"filter": {"and_filter": {"filters": both}}, **_body(error, status)}


def _body(error: str, status: int | None, hint: str = "") -> dict[str, Any]:
    """hint: left out if it comes to nothing."""
    body: dict[str, Any] = {
        "error": error,
        "code": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
        "reason": "%RESPONSE_CODE_DETAILS%",
    }
    form = {"json_format": {**body, "hint": hint}, "omit_empty_values": True} if hint else {"json_format": body}
    return {"body_format_override": form, **({"status_code": {"value": status}} if status else {})}
