"""Figures of calls, counted within Envoy: what Istio's standard metrics are made of.

Here a call gets only those tags that vary; the rest of Istio's labels is the same for all calls of a sidecar or follows from
these, and is added when the figures are read. No tag is text that a client may choose: each kind of it would be a series.

Sources: Envoy, stats access logger (`envoy.extensions.access_loggers.stats.v3.Config`) and access log operators; Istio,
standard metrics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.telemetry import MetricOverride, Reporter
from tulle.model.calls import ABOUT
from tulle.model.open_connections import BYTES, CONNECTION, MOMENT, OPEN_CONNECTION
from tulle.model.packed_tags import TAG, packed

# What the names of all of them begin with in Envoy's stats.
PREFIX = "istio"
# The tag of a stat that names the labels which it must not get, with a comma between them.
WITHOUT = "without"
# What the tag begins with that holds the value of a label which a user has defined.
OWN = "x_"
# The tag of gRPC's messages with two numbers, of a request's messages and of its response's: `1,3`. The stat counts requests.
MESSAGES = "messages"

# How often Envoy says what an open connection has carried.
SAID_EVERY_MS = 10_000
# Of one that lasts longer no counter counts its bytes. Less, so that surely nothing was said of those that end before.
_LASTING_MS = 9_000

_STDERR = "envoy.extensions.access_loggers.stream.v3.StderrAccessLog"
_CONFIG = "envoy.extensions.access_loggers.stats.v3.Config"
# Of all listeners together, far beyond what a mesh needs. Requests in series beyond are told as lost (agent/figures/reading.py).
_SCOPE = {
    "prefix": PREFIX,
    "sharing_name": "tulle",
    "max_counters": {"value": 20_000},
    "max_histograms": {"value": 10_000},
    "enable_eviction": True,
}
# A stream may have any number of messages, so that these have bounds of their own.
_MESSAGES_SCOPE = {**_SCOPE, "sharing_name": "tulle messages", "max_counters": {"value": 4_000}}
_ONE: dict[str, Any] = {"value_fixed": {"value": 1}}
# As Istio's labels, where a label is made of one tag alone.
_TAG_OF = {
    "response_code": "response_code",
    "response_flags": "response_flags",
    "grpc_response_status": "grpc_status",
    "source_principal": "peer_id",
    "destination_principal": "peer_id",
}

_TAG_VALUE = "envoy.extensions.matching.common_inputs.stats.v3.StatTagValueInput"
_TRANSFORM = "envoy.extensions.matching.actions.transform_stat.v3.TransformStat"
_CEL = "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
_NEVER_CONNECTED = "!has(upstream.local_address)"
# What the filter of that name has counted: there is none where a request had no message.
_MESSAGES = "envoy.filters.http.grpc_stats"
_GRPC_STATS = "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig"

# Of what the sidecar answers itself, as a redirect or as there is no such port, whom the virtual host is for.
_CLUSTER_OF_HTTP = (
    """%COALESCE({"operators": ["UPSTREAM_CLUSTER", {"command": "METADATA", "param": "VIRTUAL_HOST:tulle:to"}]})%"""
)

_SOURCE = {
    "reporter": "source",
    "cluster": "%UPSTREAM_CLUSTER%",
    "peer": "%UPSTREAM_METADATA(tulle:peer)%",
    "peer_id": "%UPSTREAM_PEER_URI_SAN%",
}
_DESTINATION = {
    "reporter": "destination",
    "peer": "%DOWNSTREAM_PEER_DNS_SAN%",
    "peer_id": "%DOWNSTREAM_PEER_URI_SAN%",
}
_HTTP = {
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
}
_TCP = {"response_flags": "%RESPONSE_FLAGS%"}

# What a call says of itself; one that says nothing is not of gRPC.
_CONTENT = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
_GRPC: dict[str, Any] = {"header_filter": {"header": _CONTENT}}
_OTHER = {"header_filter": {"header": {**_CONTENT, "invert_match": True, "treat_missing_header_as_empty": True}}}

Tags = Mapping[str, str]
Overrides = Sequence[MetricOverride]


def http_figures(reporter: Reporter, overrides: Overrides, port: str = "") -> list[dict[str, Any]]:
    """The loggers of a connection manager. port: as http_observed's.

    Those of gRPC have a tag more; all other calls, which are most, would pay for it as well.
    """
    peers = _tags(reporter, port)
    tags = peers | _HTTP
    if reporter is Reporter.SOURCE:
        tags |= {"route": "%METADATA(ROUTE:tulle:route)%", "cluster": _CLUSTER_OF_HTTP}
    return [
        *_requests("figures", tags, overrides, _OTHER),
        *_requests("figures of gRPC", {**tags, "grpc_status": "%GRPC_STATUS_NUMBER%"}, overrides, _GRPC),
        *_messages(peers, overrides),
    ]


def message_counter(*, by_route: bool = False) -> dict[str, Any]:
    """An HTTP filter, without which there are no figures of gRPC's messages. It costs each request some microseconds.

    by_route: only for the requests of virtual hosts that say `messages_counted`. It misses those for which the sidecar has still
    to ask for the virtual host: their filters are chosen before it comes.
    """
    settings = message(_GRPC_STATS)(emit_filter_state=True, stats_for_all_methods={"value": False})
    return {"name": _MESSAGES, "typed_config": pack(settings), **({"disabled": True} if by_route else {})}


def messages_counted() -> dict[str, Any]:
    """Of a virtual host's `typed_per_filter_config`. Source: Envoy, FilterConfig: empty settings say that it is on."""
    return {_MESSAGES: pack(message("envoy.config.route.v3.FilterConfig")(config={}))}


def tcp_figures(reporter: Reporter, overrides: Overrides, port: str = "") -> list[dict[str, Any]]:
    """The loggers of a TCP proxy. port: as http_observed's.

    Envoy can add a connection's bytes to a counter only when it has ended. Of those that last it tells the agent instead, by a
    line, every SAID_EVERY_MS and at their end; these are not in its counters, so that none is counted twice.
    """
    tags = _tags(reporter, port) | _TCP
    opened = _stats({"tcp_connections_opened_total": _ONE}, tags, overrides)
    closed = _stats({"tcp_connections_closed_total": _ONE}, tags, overrides)
    carried = _stats(
        {
            "tcp_sent_bytes_total": {"value_format": "%BYTES_SENT%"},
            "tcp_received_bytes_total": {"value_format": "%BYTES_RECEIVED%"},
        },
        tags,
        overrides,
    )
    ends = _at("TcpConnectionEnd")
    return [
        *_logger(
            "opened",
            opened,
            [],
            _any(_at("TcpUpstreamConnected"), _all(ends, _where(_NEVER_CONNECTED))),
        ),
        *_logger("ended", closed, [], ends),
        *_logger("carried", carried, [], _all(ends, _lasted("LE", _LASTING_MS - 1))),
        *_said(carried, _any(_at("TcpPeriodic"), _all(ends, _lasted("GE", _LASTING_MS)))),
    ]


def _said(counters: Sequence[dict[str, Any]], which: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A line for the agent with what these would count, and their tags (model/open_connections.py)."""
    if not counters:
        return []
    values = {
        one["stat"]["name"]: {BYTES: one["value_format"], **{t["name"]: t["value_format"] for t in one["stat"]["tags"]}}
        for one in counters
    }
    fields = {ABOUT: OPEN_CONNECTION, CONNECTION: "%CONNECTION_ID%", MOMENT: "%ACCESS_LOG_TYPE%", **values}
    line = message(_STDERR)(log_format={"json_format": fields, "omit_empty_values": True})
    return [{"name": "open connections", "filter": which, "typed_config": pack(line)}]


def _lasted(op: str, milliseconds: int) -> dict[str, Any]:
    value = {"default_value": milliseconds, "runtime_key": "tulle.lasting_milliseconds"}
    return {"duration_filter": {"comparison": {"op": op, "value": value}}}


def _requests(name: str, tags: Tags, overrides: Overrides, which: Mapping[str, Any]) -> list[dict[str, Any]]:
    counters = _stats({"requests_total": _ONE}, tags, overrides)
    histograms = _stats(
        {
            "request_duration_milliseconds": {"unit": "Milliseconds", "value_format": "%DURATION%"},
            # With headers, as Istio counts them.
            "request_bytes": {"unit": "Bytes", "value_format": "%DOWNSTREAM_WIRE_BYTES_RECEIVED%"},
            "response_bytes": {"unit": "Bytes", "value_format": "%DOWNSTREAM_WIRE_BYTES_SENT%"},
        },
        tags,
        overrides,
    )
    return _logger(name, counters, histograms, which)


def _messages(tags: Tags, overrides: Overrides) -> list[dict[str, Any]]:
    """Of gRPC: a request for each of those numbers of messages. Envoy tells both as one text, and counts by numbers alone.

    Like Istio's they say nothing of how a request ended.
    """
    counters = _stats(
        {"request_messages_total": _ONE, "response_messages_total": _ONE},
        {**tags, MESSAGES: f"%FILTER_STATE({_MESSAGES}:PLAIN)%"},
        overrides,
    )
    return _logger("messages", counters, [], _all(_GRPC, _where(f"'{_MESSAGES}' in filter_state")), _MESSAGES_SCOPE)


def _tags(reporter: Reporter, port: str) -> dict[str, str]:
    return dict(_SOURCE) if reporter is Reporter.SOURCE else {**_DESTINATION, "port": port}


def _any(*filters: dict[str, Any]) -> dict[str, Any]:
    return {"or_filter": {"filters": filters}}


def _all(*filters: dict[str, Any]) -> dict[str, Any]:
    return {"and_filter": {"filters": filters}}


def _where(expression: str) -> dict[str, Any]:
    return {"extension_filter": {"name": "cel", "typed_config": pack(message(_CEL)(expression=expression))}}


def _at(moment: str) -> dict[str, Any]:
    return {"log_type_filter": {"types": [moment]}}


def _logger(
    name: str,
    counters: Sequence[dict[str, Any]],
    histograms: Sequence[dict[str, Any]],
    which: Mapping[str, Any] | None = None,
    scope: Mapping[str, Any] = _SCOPE,
) -> list[dict[str, Any]]:
    """An entry of `access_log`; none if it had nothing to count."""
    if not counters and not histograms:
        return []
    config = message(_CONFIG)(stats_scope=scope, counters=counters, histograms=histograms)
    return [{"name": name, **({"filter": which} if which else {}), "typed_config": pack(config)}]


def _stats(stats: Mapping[str, dict[str, Any]], tags: Tags, overrides: Overrides) -> list[dict[str, Any]]:
    """Those that are not disabled, each with its tags."""
    made = []
    for name, value in stats.items():
        said = [one for one in overrides if one.metric in ("", f"{PREFIX}_{name}")]
        if said and said[-1].is_disabled:
            continue
        own = _overridden(tags, {tag.tag: tag.expression for one in said for tag in one.tags})
        made.append({"stat": {"name": name, "tags": _named(own)}, **value})
    return made


def _named(tags: Tags) -> list[dict[str, Any]]:
    """As few as can be: apart are those whose values Envoy has to change, or whose values may be anything."""
    apart = {name: text for name, text in tags.items() if name == "grpc_status" or name.startswith(OWN)}
    together = packed({name: text for name, text in tags.items() if name not in apart})
    return [
        {"name": TAG, "value_format": together},
        *({"name": name, "value_format": text, **_rules(name)} for name, text in apart.items()),
    ]


def _rules(tag: str) -> dict[str, Any]:
    """A server may send any number as gRPC's status; those that mean nothing are one (gRPC, status codes: 2, UNKNOWN)."""
    if tag != "grpc_status":
        return {}
    known = {status: _becomes(status) for status in ("", *map(str, range(17)))}
    value = {"name": "tag", "typed_config": pack(message(_TAG_VALUE)())}
    return {
        "rules": {
            "matcher_tree": {"input": value, "exact_match_map": {"map": known}},
            "on_no_match": _becomes("2"),
        }
    }


def _becomes(value: str) -> dict[str, Any]:
    action = message(_TRANSFORM)(update_tag={"new_tag_value": value})
    return {"action": {"name": "tag", "typed_config": pack(action)}}


def _overridden(tags: Tags, labels: Mapping[str, str]) -> dict[str, str]:
    """labels: with the expressions of their values, "" for those that are not wanted."""
    without = sorted(label for label, expression in labels.items() if not expression)
    unwanted = {_TAG_OF[label] for label in without if label in _TAG_OF}
    kept = {name: text for name, text in tags.items() if name not in unwanted}
    own = {f"{OWN}{label}": _cel(expression) for label, expression in sorted(labels.items()) if expression}
    return {**kept, **own, **({WITHOUT: ",".join(without)} if without else {})}


def _cel(expression: str) -> str:
    """An operator ends at the first `)%`, which an expression may hold as well: a remainder (CEL, `%`)."""
    return f"%CEL({expression.replace(')%', ') %')})%"
