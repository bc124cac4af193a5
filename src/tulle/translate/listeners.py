"""The outbound doors of a sidecar, where its program's connections go in.

What a program sends to an HTTP proxy and what is captured are told apart by the door's kind, never by looking at bytes.
"""

from __future__ import annotations

from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.telemetry import Reporter, Telemetry
from tulle.ir.types import Outbound, TcpChain, TcpService
from tulle.model.vips import NETWORK
from tulle.model.well_known import TCP_PORTS
from tulle.model.workload import Capture
from tulle.translate import names
from tulle.translate.clusters import dns_cache
from tulle.translate.cors import cors_filter
from tulle.translate.durations import duration
from tulle.translate.early_headers import early
from tulle.translate.faults import fault_filter
from tulle.translate.http_actions import cluster
from tulle.translate.http_manager import http_manager, router
from tulle.translate.replies import outbound_replies
from tulle.translate.sources import ADS
from tulle.translate.tcp_proxy import closed, tcp_proxy
from tulle.translate.telemetry.b3 import heeded_b3
from tulle.translate.telemetry.metrics import message_counter
from tulle.translate.telemetry.observed import http_observed, tcp_observed

_HTTP = "envoy.extensions.filters.http"
_LISTENER = "envoy.extensions.filters.listener"
# For how many nanoseconds a client that should begin with TLS may be silent, before it is taken as it is.
_SILENT_CLIENT = 5_000_000_000

# The only bound on a first call whose name the control plane does not answer; a route sets its own (none) once it is known.
_UNANSWERED = {"seconds": 30}
_LOOPBACK = {"address_prefix": "127.0.0.0", "prefix_len": {"value": 8}}
_LOOPBACK6 = {"address_prefix": "::1", "prefix_len": {"value": 128}}


def outbound_listener(outbound: Outbound) -> Any:
    """The door of a workload, by the way in which its connections come."""
    chains = _captured(outbound) if outbound.capture.is_transparent else _proxy(outbound)
    return message("envoy.config.listener.v3.Listener")(
        name=outbound.route_config,
        traffic_direction="OUTBOUND",
        address={"socket_address": {"address": "127.0.0.1", "port_value": outbound.port}},
        **chains,
    )


def tunnel_listener(outbound: Outbound) -> Any:
    """What comes out of a tunnel to an HTTP service (CONNECT, as gRPC clients ask of a proxy): HTTP like any other."""
    return message("envoy.config.listener.v3.Listener")(
        name=names.tunnels(outbound.route_config),
        internal_listener={},
        filter_chains=[{"filters": [_http(outbound)]}],
    )


def tcp_listener(service: TcpService) -> Any:
    """The connections to one TCP port of a service. It binds no port: the outbound listener hands them over, by address.

    Source: Listener, `use_original_dst` and `bind_to_port`.
    """
    return message("envoy.config.listener.v3.Listener")(
        name=names.tcp_listener(service.route_config, service.destination),
        traffic_direction="OUTBOUND",
        bind_to_port={"value": False},
        address={"socket_address": {"address": service.vip, "port_value": service.destination.port}},
        filter_chains=[*_http_chains(service), *_tcp_chains(service)],
        **_inspected(service),
    )


def _inspected(service: TcpService) -> dict[str, Any]:
    """What is looked for in the first bytes. Who sends none for too long waits for the server to speak."""
    inspectors = []
    if service.detect:
        inspectors.append(_listener_filter("http_inspector", f"{_LISTENER}.http_inspector.v3.HttpInspector"))
    if any(chain.sni or chain.lookup for chain in service.chains):
        inspectors.append(_listener_filter("tls_inspector", f"{_LISTENER}.tls_inspector.v3.TlsInspector"))
    if not inspectors:
        return {}
    timeout = duration(service.detect or _SILENT_CLIENT)
    return {
        "listener_filters": inspectors,
        "listener_filters_timeout": timeout,
        "continue_on_listener_filters_timeout": True,
    }


def _listener_filter(name: str, kind: str) -> dict[str, Any]:
    return {"name": f"envoy.filters.listener.{name}", "typed_config": pack(message(kind)())}


def _http_chains(service: TcpService) -> list[dict[str, Any]]:
    """HTTP/1 that is detected is routed as such. HTTP/2 goes on as it is: nobody said that the program speaks it."""
    if service.chains and not service.detect:
        return []
    match = {"application_protocols": ["http/1.0", "http/1.1"]} if service.detect else {}
    match |= _from(service.source)
    return [{"name": "http", "filter_chain_match": match, "filters": [_http(service)]}]


def _tcp_chains(service: TcpService) -> list[dict[str, Any]]:
    """By name, and the rest. What begins with TLS is no HTTP, whatever it says that it wants to speak within (ALPN)."""
    chains: list[dict[str, Any]] = [
        {
            "name": chain.sni[0] if chain.sni else "any",
            "filter_chain_match": {
                **({"server_names": chain.sni} if chain.sni else {}),
                **_from(service.source),
            },
            "filters": [*_lookup(chain), _to(chain, service.telemetry)],
        }
        for chain in service.chains
    ]
    if service.detect and any(chain.sni for chain in service.chains):
        chains += [_of_tls(chain) for chain in chains if chain["name"] == "any"]
    return chains


def _of_tls(chain: dict[str, Any]) -> dict[str, Any]:
    match = {**chain["filter_chain_match"], "transport_protocol": "tls"}
    return {**chain, "name": f"{chain['name']} tls", "filter_chain_match": match}


def _lookup(chain: TcpChain) -> list[dict[str, Any]]:
    """Source: Envoy, SNI dynamic forward proxy. It shares its cache of DNS with the cluster."""
    if not chain.lookup:
        return []
    kind = "envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.FilterConfig"
    settings = message(kind)(dns_cache_config=dns_cache(), port_value=chain.lookup)
    return [{"name": "envoy.filters.network.sni_dynamic_forward_proxy", "typed_config": pack(settings)}]


def _to(chain: TcpChain, telemetry: Telemetry) -> dict[str, Any]:
    if not chain.backends:
        return closed()
    observed = tcp_observed(Reporter.SOURCE, telemetry)
    if len(chain.backends) == 1:
        return tcp_proxy(cluster(chain.backends[0]), "outbound", chain.policy, **observed)
    clusters = [(cluster(weighted), weighted.weight) for weighted in chain.backends]
    return tcp_proxy(clusters, "outbound", chain.policy, **observed)


def _proxy(outbound: Outbound) -> dict[str, Any]:
    """HTTP as programs send it to a proxy: absolute URIs, plain Host, and CONNECT (also in HTTP/1.0, as http.client does)."""
    return {"filter_chains": [{"filters": [_http(outbound, tunnels=True)]}]}


def _captured(outbound: Outbound) -> dict[str, Any]:
    """Connections to the addresses of services. A port that carries TCP has a listener of its own; all others carry HTTP.

    But for the well-known ports that never do unless somebody says so, and then have a listener as well. Here come only those
    of services that have no such port, and a client that waits for the server to speak, or speaks in a way that the parser
    of HTTP takes for half a line, would wait for ever.
    """
    network = {"address_prefix": str(NETWORK.network_address), "prefix_len": {"value": NETWORK.prefixlen}}
    services: dict[str, Any] = {
        "name": "services",
        "filter_chain_match": {"prefix_ranges": [network], **_from(outbound.source)},
        "filters": [_http(outbound)],
    }
    door: dict[str, Any] = {"use_original_dst": {"value": True}, "filter_chains": [services]}
    if outbound.capture is Capture.SECCOMP:
        # As a listener filter it would come before the one that `use_original_dst` adds; that one then takes the door itself
        # for the destination on any machine that tracks connections. The filter that this flag adds comes last.
        services["use_proxy_proto"] = {"value": True}
    if outbound.ipv6:
        address = {"socket_address": {"address": "::1", "port_value": outbound.port}}
        door["additional_addresses"] = [{"address": address}]
    # Where the kernel has no IPv6 Envoy takes no such address.
    loopback = [_LOOPBACK, *([_LOOPBACK6] if outbound.ipv6 else [])]
    if outbound.capture is Capture.NETNS:
        # There the sidecar is the only way out; but the loopback that it would reach is the machine's.
        door["filter_chains"].append(
            {"name": "loopback", "filter_chain_match": {"prefix_ranges": loopback}, "filters": [closed()]}
        )
        out = tcp_proxy(names.WAY_OUT, "outside") if outbound.passes else closed()
        door["default_filter_chain"] = {"name": "outside", "filters": [out]}
    door["filter_chains"] += _refusals(loopback if outbound.capture is Capture.NETNS else [])
    return door


def _refusals(ranges: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Chains that close connections at once, as they have no filter; a few bytes for each port, whatever services there are.

    ranges: for which destinations; for all if there is none. A port that some chain matches is lost to all chains that name
    none: of those left, only the default chain is asked. Source: Listener, FilterChain, `filters`; FilterChainMatch.
    """
    prefixes = {"prefix_ranges": ranges} if ranges else {}
    return [{"filter_chain_match": {"destination_port": {"value": port}, **prefixes}} for port in sorted(TCP_PORTS)]


def _from(source: str) -> dict[str, Any]:
    """What a connection must match to come from there; nothing if that does not matter."""
    if not source:
        return {}
    address, _, port = source.rpartition(":")
    return {
        "source_prefix_ranges": [{"address_prefix": address, "prefix_len": {"value": 32}}],
        "source_ports": [int(port)],
    }


def _http(of: Outbound | TcpService, *, tunnels: bool = False) -> dict[str, Any]:
    on_demand = message(f"{_HTTP}.on_demand.v3.OnDemand")()
    forward = message(f"{_HTTP}.dynamic_forward_proxy.v3.FilterConfig")(dns_cache_config=dns_cache())
    filters = [
        {"name": "envoy.filters.http.on_demand", "typed_config": pack(on_demand)},
        {"name": "envoy.filters.http.dynamic_forward_proxy", "typed_config": pack(forward)},
    ]
    upgrades = [{"upgrade_type": "websocket"}]
    if tunnels:
        upgrades.append({"upgrade_type": "CONNECT"})
    return http_manager(
        of.paths,
        stat_prefix="outbound",
        rds={"route_config_name": of.route_config, "config_source": ADS},
        stream_idle_timeout=_UNANSWERED,
        local_reply_config=outbound_replies(),
        upgrade_configs=upgrades,
        # After the first, which may bring the routes that have settings of these two.
        http_filters=[*filters, fault_filter(), cors_filter(), message_counter(by_route=True), router()],
        **early(heeded_b3(of.telemetry)),
        **http_observed(Reporter.SOURCE, of.telemetry),
    )
