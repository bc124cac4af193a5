"""Outbound routes: a route configuration that asks for what it does not know, and the virtual hosts that answer it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tulle.envoy_api.messages import message
from tulle.ir.types import Answer, OutboundRoutes, VirtualHost
from tulle.model.addresses import CANARY_HOST
from tulle.translate import names
from tulle.translate.answers import answer
from tulle.translate.http_actions import cluster
from tulle.translate.http_routes import http_routes
from tulle.translate.retries import SAFE, own_retries
from tulle.translate.sources import ADS
from tulle.translate.telemetry.metrics import messages_counted

# Bytes of a request's body that are kept, so that it can be sent again.
_MOST_RETRIED = 8 * 1024 * 1024
_CIRCLE = "this is a sidecar's outbound port: name a service, or use it as an HTTP proxy"
_MISDIRECTED = "this connection was opened to a service of the mesh, but the request is for another host"
_CLOSED = "the mesh does not know this host, and nothing else may be called (outboundTrafficPolicy: REGISTRY_ONLY)"
# Of a direct response, as Istio allows them; Envoy's own bound is 4,096.
_MOST_ANSWERED = 1024 * 1024
# Who answered is proved within the mesh alone: outside nobody is asked, and nobody can claim it.
_OUTSIDE_HEADERS = {
    "request_headers_to_remove": [names.EXPLAIN_HEADER],
    "response_headers_to_remove": [names.PEER_HEADER],
}
# Of ConfigSource, `initial_fetch_timeout`: 15 s if it is not given. Nothing ever waits for it: there is always a first answer.
_EPOCHS: tuple[dict[str, Any], ...] = ({}, {"initial_fetch_timeout": {"seconds": 16}})


def route_configuration(outbound: OutboundRoutes, epoch: int = 0) -> Any:
    """Names that a host of the mesh can have are asked for (VHDS), once each; others pass through, or are a mistake.

    epoch: 0 or 1. When it changes, Envoy takes the source of virtual hosts for another one, and asks for names anew.
    """
    mesh = {"safe_regex": {"regex": mesh_hosts(outbound.namespaces, outbound.hosts, outbound.addresses)}}
    outside = {"name": ":authority", "invert_match": True, "string_match": mesh}
    itself = {"name": ":authority", "string_match": {"safe_regex": {"regex": own_hosts(outbound.port)}}}
    elsewhere: dict[str, Any]
    if outbound.capture.is_transparent:
        elsewhere = {"routes": _refusal(421, _MISDIRECTED, [outside], tunnels=False)}
    else:
        circle = _refusal(508, _CIRCLE, [itself])
        way_out = _passthrough([outside]) if outbound.passes else _refusal(502, _CLOSED, [outside])
        elsewhere = {"routes": [*circle, *way_out], **_OUTSIDE_HEADERS}
    canary = {
        "match": {"path": "/"},
        "direct_response": {"status": 200, "body": {"inline_string": outbound.proxy}},
        "tracing": {"overall_sampling": {"numerator": 0}},
    }
    return message("envoy.config.route.v3.RouteConfiguration")(
        name=outbound.route_config,
        vhds={"config_source": {**ADS, **_EPOCHS[epoch]}},
        max_direct_response_body_size_bytes={"value": _MOST_ANSWERED},
        virtual_hosts=[
            {"name": "canary", "domains": [CANARY_HOST], "routes": [canary]},
            {"name": "outside", "domains": ["*"], **elsewhere},
        ],
    )


def initial_virtual_host(route_config: str) -> Any:
    """See names.initial_virtual_host."""
    name = names.initial_virtual_host(route_config)
    return message("envoy.config.route.v3.VirtualHost")(name=name, domains=["_init.invalid"])


def virtual_host(host: VirtualHost) -> Any:
    """One host and port of the mesh, or of what might have been the mesh."""
    parts: dict[str, Any]
    if host.answer is Answer.ROUTE:
        parts = {
            **http_routes(host.routes, _tunnels(host)),
            "retry_policy": own_retries(SAFE),
            "request_body_buffer_limit": {"value": _MOST_RETRIED},
            "request_headers_to_remove": [names.EXPLAIN_HEADER],
            "response_headers_to_remove": [names.NOT_SERVED_HEADER],
            **({"typed_per_filter_config": messages_counted()} if host.grpc else {}),
        }
    elif host.answer is Answer.TUNNEL:
        parts = {"routes": [*_tunnels(host), *_refusal(503, host.problem, tunnels=False)]}
    elif host.answer is Answer.PASSTHROUGH:
        only_mesh = {"name": ":authority", "string_match": {"contains": ".svc"}}
        routes = [*_refusal(503, host.problem, [only_mesh]), *_passthrough([], host.problem)]
        parts = {"routes": routes, **_OUTSIDE_HEADERS}
    elif host.answer is Answer.BLOCKED:
        parts = {"routes": _refusal(502, host.problem)}
    else:
        parts = {"routes": _refusal(503, host.problem)}
    name = names.virtual_host(host.route_config, host.destination)
    return message("envoy.config.route.v3.VirtualHost")(name=name, domains=host.domains, **_counted_as(host), **parts)


def _counted_as(host: VirtualHost) -> dict[str, Any]:
    """Whom calls were to that come to no cluster, as they are answered here: for metrics. Never what only callers say."""
    if not host.is_known or host.answer in (Answer.PASSTHROUGH, Answer.BLOCKED):
        return {}
    port = "" if host.answer is Answer.UNKNOWN else host.destination.port  # it has no such port
    to = f"{host.destination.service.host}:{port}"
    return {"metadata": {"filter_metadata": {names.METADATA: {"fields": {names.TO: {"string_value": to}}}}}}


def mesh_hosts(
    namespaces: Sequence[str] | None, hosts: Sequence[str] | None = (), addresses: Sequence[str] = ()
) -> str:
    """A regular expression (RE2, whole match) of the authorities that a mesh name, or a declared host, can have.

    namespaces: None for any. hosts: None for every name; an address is none. RE2 takes some 10,000 long names; what is listed
    goes to every sidecar with each change, so whoever calls bounds it.
    """
    more = "".join(f"|{address}" for address in addresses).replace(".", r"\.")
    if hosts is None or "*" in hosts:
        return rf"(?i)(([a-z0-9_-]+\.)*[a-z0-9_-]*[a-z_-][a-z0-9_-]*\.?{more})(:[0-9]{{1,5}})?"
    label = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    spaces = label if namespaces is None else "|".join(namespaces)
    name = rf"{label}(\.({spaces})(\.svc)?|\.{label}\.svc\.cluster\.local)?"
    if hosts:
        name = rf"{name}|({'|'.join(map(_host, hosts))})\.?"
    if hosts or more:
        name = f"({name}{more})"
    return rf"(?i){name}(:[0-9]{{1,5}})?"


def _host(host: str) -> str:
    wildcard, _, rest = host.rpartition("*")
    return (r"[a-z0-9_.-]+" if host.startswith("*") else wildcard) + rest.replace(".", r"\.")


def own_hosts(port: int) -> str:
    """A regular expression of the authorities by which a listener on loopback is reached directly."""
    return rf"(?i)(localhost|127\.[0-9.]+|0\.0\.0\.0|\[::1\]|\[::ffff:127\.[0-9.]+\]):{port}"


def _passthrough(headers: list[dict[str, Any]], hint: str = "") -> list[dict[str, Any]]:
    """hint: for whoever calls a host that DNS does not know either."""
    to_cluster = {"cluster": names.PASSTHROUGH, "timeout": {}, "idle_timeout": {}}
    told = (
        {"metadata": {"filter_metadata": {names.METADATA: {"fields": {names.HINT: {"string_value": hint}}}}}}
        if hint
        else {}
    )
    return [
        *({**route, **told} for route in _tunnel({"cluster": names.PASSTHROUGH}, headers)),
        {"match": {"prefix": "/", "headers": headers}, "route": to_cluster, **told},
    ]


def _tunnels(host: VirtualHost) -> list[dict[str, Any]]:
    """What comes through a tunnel to an HTTP port is HTTP like any other; to any other port it is what it is."""
    if not host.tunnels:
        return []
    shares = [{"name": cluster(weighted), "weight": {"value": weighted.weight}} for weighted in host.tcp]
    if len(shares) > 1:
        return _tunnel({"weighted_clusters": {"clusters": shares}})
    return _tunnel({"cluster": shares[0]["name"] if shares else names.tunnels(host.route_config)})


def _tunnel(to: dict[str, Any], headers: Sequence[dict[str, Any]] = ()) -> list[dict[str, Any]]:
    """What comes through a tunnel (CONNECT) goes on as it is. to: a cluster, or several."""
    connect = [{"upgrade_type": "CONNECT", "connect_config": {}}]
    route = {**to, "timeout": {}, "idle_timeout": {}, "upgrade_configs": connect}
    return [{"match": {"connect_matcher": {}, "headers": headers}, "route": route}]


def _refusal(
    status: int, error: str, headers: Sequence[dict[str, Any]] = (), *, tunnels: bool = True
) -> list[dict[str, Any]]:
    """Routes that answer at once."""
    matches: list[dict[str, Any]] = [{"connect_matcher": {}}] if tunnels else []
    return [{"match": {**match, "headers": headers}, **answer(status, error)} for match in [*matches, {"prefix": "/"}]]
