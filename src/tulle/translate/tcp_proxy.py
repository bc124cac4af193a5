"""TCP that is carried as it is: a connection in, a connection out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.policies import DEFAULT, Policy
from tulle.translate.durations import duration
from tulle.translate.hash_policies import tcp_hash_policy

_TCP_PROXY = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
_DIRECT_RESPONSE = "envoy.extensions.filters.network.direct_response.v3.Config"


def tcp_proxy(
    clusters: str | Sequence[tuple[str, int]], stat_prefix: str, policy: Policy = DEFAULT, **more: Any
) -> dict[str, Any]:
    """A network filter that connects to a cluster, and to another of its instances if one can't be reached.

    clusters: one, or several with the shares in which connections are divided among them. policy: for what Envoy wants to
    know here: how long connections last, and a tunnel in which they go. Connections may be idle for as long as the two ends
    like: a pool of database connections often is. more: settings of the filter.
    """
    pool = policy.pool
    to: dict[str, Any] = {"cluster": clusters}
    if not isinstance(clusters, str):
        to = {"weighted_clusters": {"clusters": [{"name": name, "weight": share} for name, share in clusters]}}
    settings = message(_TCP_PROXY)(
        stat_prefix=stat_prefix,
        **to,
        idle_timeout={} if pool.tcp_idle_timeout is None else duration(pool.tcp_idle_timeout),
        max_connect_attempts={"value": 4},
        hash_policy=tcp_hash_policy(policy.balancing.hash_key),
        **({"max_downstream_connection_duration": duration(most)} if (most := pool.max_connection_duration) else {}),
        **_tunnel(policy),
        **more,
    )
    return {"name": "envoy.filters.network.tcp_proxy", "typed_config": pack(settings)}


def closed() -> dict[str, Any]:
    """A network filter that ends every connection at once."""
    return {"name": "envoy.filters.network.direct_response", "typed_config": pack(message(_DIRECT_RESPONSE)())}


def _tunnel(policy: Policy) -> dict[str, Any]:
    if policy.tunnel is None:
        return {}
    method, target = policy.tunnel
    return {"tunneling_config": {"hostname": target, "use_post": method == "POST"}}
