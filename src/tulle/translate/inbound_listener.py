"""The inbound door of a sidecar, where calls of the mesh come in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.types import Inbound, InboundPort
from tulle.model.workload import Protocol
from tulle.translate import inbound_filters, names
from tulle.translate.inbound_plain import at_own_port, plain_chains, plain_inspection, takes_plain
from tulle.translate.sources import IDENTITY
from tulle.translate.tls import server_socket

_TLS_INSPECTOR = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"


def inbound_listener(inbound: Inbound) -> Any:
    """mTLS from the mesh, where the SNI tells which service port is meant, and what ports allow beside it.

    Anything else finds no filter chain and is closed.
    """
    inspector = {"name": "envoy.filters.listener.tls_inspector", "typed_config": pack(message(_TLS_INSPECTOR)())}
    return message("envoy.config.listener.v3.Listener")(
        name=names.inbound_listener(inbound.workload),
        traffic_direction="INBOUND",
        address={"socket_address": {"address": inbound.address, "port_value": inbound.port}},
        **plain_inspection(inbound, inspector),
        filter_chains=list(_all_chains(inbound)),
    )


def _all_chains(inbound: Inbound) -> Iterator[dict[str, Any]]:
    """Those of the sidecar's own port; and of the program's, where connections to them are led here and told apart.

    A chain that names a destination port shuts out all that name none, so what a strict port does not take goes nowhere.
    """
    yield from _mesh_chains(inbound, inbound.ports)
    plain = takes_plain(inbound)
    if not plain:
        return
    yield from plain_chains(inbound, at_own_port(inbound))
    for target in dict.fromkeys(port.target for port in inbound.ports) if inbound.redirected else ():
        there = [port for port in inbound.ports if port.target == target]
        led = [*_mesh_chains(inbound, inbound.ports if target == inbound.port else there)]
        led += plain_chains(inbound, next((port for port in there if port in plain), None))
        for chain in led:
            match = {**chain["filter_chain_match"], "destination_port": {"value": target}}
            yield {**chain, "name": f"{chain['name']} at {target}", "filter_chain_match": match}


def _mesh_chains(inbound: Inbound, ports: Iterable[InboundPort]) -> Iterator[dict[str, Any]]:
    for port in ports:
        yield from _chains(inbound, port)


def _chains(inbound: Inbound, port: InboundPort) -> list[dict[str, Any]]:
    """Where nobody said what a port carries, the calling sidecar has found out, and says it."""
    cluster = names.inbound_cluster(inbound.workload, port.destination.port)
    if port.protocol in (Protocol.TCP, Protocol.TLS):
        return [_chain(inbound, port, names.MESH_ALPN, [], inbound_filters.tcp(inbound, port, cluster))]
    chains = [_chain(inbound, port, names.MESH_ALPN, ["h2", "http/1.1"], inbound_filters.http(inbound, port))]
    if port.protocol is Protocol.AUTO:
        program = names.inbound_tcp_cluster(inbound.workload, port.destination.port)
        chains.append(_chain(inbound, port, names.DETECTED_TCP_ALPN, [], inbound_filters.tcp(inbound, port, program)))
    return chains


def _chain(
    inbound: Inbound, port: InboundPort, offered: str, alpn: Sequence[str], filters: list[dict[str, Any]]
) -> dict[str, Any]:
    sni = names.sni(port.destination)
    return {
        "name": sni if offered == names.MESH_ALPN else f"{sni} {offered}",
        "filter_chain_match": {
            "transport_protocol": "tls",
            "application_protocols": [offered],
            "server_names": [sni, *map(names.sni, port.also)],
        },
        "transport_socket": server_socket(IDENTITY, inbound.trusted, alpn),
        "filters": filters,
    }
