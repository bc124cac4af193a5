"""What is beneath HTTP or TCP on the way to a backend: the mesh's mutual TLS, a user's TLS, plain text, a PROXY header.

What a rule says of TLS and of PROXY headers is for endpoints without a sidecar: a sidecar takes the mesh's mutual TLS and nothing
else, whatever a rule says.
"""

from __future__ import annotations

from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.types import Backend, Transport
from tulle.translate import names
from tulle.translate.originate_tls import originated_tls
from tulle.translate.sources import IDENTITY
from tulle.translate.tls import client_socket
from tulle.translate.upstream_http import speaks_http2

# In the metadata of an endpoint without a sidecar (Cluster, `transport_socket_matches`).
SOCKET_MATCH = "envoy.transport_socket_match"

_SOCKETS = "envoy.extensions.transport_sockets"


def transport(backend: Backend) -> dict[str, Any]:
    """Fields of a cluster."""
    if backend.transport is Transport.MESH:
        return {"transport_socket": _mesh(backend)}
    plain = _plain(backend)
    if backend.transport is Transport.PLAIN:
        return {"transport_socket": plain} if plain else {}
    matches = [
        {"name": "plain", "match": plain_mark(), "transport_socket": plain or _raw()},
        {"name": "mesh", "match": {}, "transport_socket": _mesh(backend)},
    ]
    return {"transport_socket_matches": matches}


def plain_mark() -> Any:
    """What that metadata is: a Struct, as protobuf takes a dict for one in some places and for its content in others."""
    return message("google.protobuf.Struct")(fields={"plain": {"bool_value": True}})


def _mesh(backend: Backend) -> dict[str, Any]:
    """mTLS with the exact ids of the service, or those that a user names instead."""
    tls = backend.policy.tls
    peers = tls.names if tls and tls.mesh and tls.names else backend.identities
    http = [] if backend.tcp else ["h2" if speaks_http2(backend) else "http/1.1"]
    mesh = names.DETECTED_TCP_ALPN if backend.detected else names.MESH_ALPN
    return client_socket(IDENTITY, peers, [mesh, *http], names.sni(backend.destination))


def _plain(backend: Backend) -> dict[str, Any] | None:
    socket = _tls(backend)
    version = backend.policy.proxy_protocol
    if not version:
        return socket
    settings = message(f"{_SOCKETS}.proxy_protocol.v3.ProxyProtocolUpstreamTransport")(
        config={"version": f"V{version}"}, transport_socket=socket or _raw()
    )
    return {"name": "envoy.transport_sockets.upstream_proxy_protocol", "typed_config": pack(settings)}


def _tls(backend: Backend) -> dict[str, Any] | None:
    tls = backend.policy.tls
    if tls is None:
        return None
    if tls.mesh:
        return _mesh(backend)
    if not backend.tcp:
        return originated_tls(tls, ["h2"] if speaks_http2(backend) else ["http/1.1"], "")
    host = backend.destination.service.host
    return originated_tls(tls, [], "" if host.startswith("*") else host)


def _raw() -> dict[str, Any]:
    settings = message(f"{_SOCKETS}.raw_buffer.v3.RawBuffer")()
    return {"name": "envoy.transport_sockets.raw_buffer", "typed_config": pack(settings)}
