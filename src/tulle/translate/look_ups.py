"""How the control plane learns that a sidecar has looked a name up, and so may be called for it.

Envoy acknowledges a cluster that is found by DNS at once, and has no such cluster until DNS has answered: a call that comes
before that fails (503, NC). What a cluster's transport sockets need of secrets it asks for when it has found its addresses, or
has given up (ClusterImplBase, `onPreInitComplete`). So each of these clusters has a socket that nothing ever uses, with a secret
that holds nothing. To have been asked for it is the sign: what leads to the cluster requires the secret.
"""

from __future__ import annotations

from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.types import Backend
from tulle.translate import names
from tulle.translate.sources import ADS

_TYPES = "envoy.extensions.transport_sockets.tls.v3"


def secret(backend: Backend) -> Any:
    """The secret that holds nothing."""
    return message(f"{_TYPES}.Secret")(name=names.looked_up(backend), validation_context={})


def announced(cluster: Any, backend: Backend) -> Any:
    """The cluster, with that socket; of those that fit by metadata, which no endpoint has."""
    wanted = {"name": names.looked_up(backend), "sds_config": ADS}
    context = message(f"{_TYPES}.UpstreamTlsContext")(
        common_tls_context={"validation_context_sds_secret_config": wanted}
    )
    never = message("google.protobuf.Struct")(fields={"never": {"bool_value": True}})
    socket = {"name": "tls", "typed_config": pack(context)}
    match = message("envoy.config.cluster.v3.Cluster.TransportSocketMatch")
    first = match(name="found", match=never, transport_socket=socket)
    matches = [first, *cluster.transport_socket_matches]  # one that fits any endpoint may be among them
    del cluster.transport_socket_matches[:]
    cluster.transport_socket_matches.extend(matches)
    return cluster
