"""How one of a cluster's endpoints is chosen. Source: Envoy, Cluster, `lb_policy` and `common_lb_config`."""

from __future__ import annotations

from typing import Any

from tulle.ir.policies import Balance, LoadBalancing, Warmup
from tulle.ir.types import Backend, Discovery
from tulle.translate.durations import duration

_POLICIES = {
    Balance.LEAST_REQUEST: "LEAST_REQUEST",
    Balance.ROUND_ROBIN: "ROUND_ROBIN",
    Balance.RANDOM: "RANDOM",
    Balance.PASSTHROUGH: "CLUSTER_PROVIDED",
    Balance.RING_HASH: "RING_HASH",
    Balance.MAGLEV: "MAGLEV",
}
# Kinds of clusters that have no endpoints to choose from.
_NO_CHOICE = (Discovery.DYNAMIC, Discovery.ORIGINAL)


def load_balancing(backend: Backend) -> dict[str, Any]:
    """Fields of a cluster."""
    balancing = backend.policy.balancing
    # Better an honest 503 than a request to an instance that is known to be leaving.
    common: dict[str, Any] = {"healthy_panic_threshold": {"value": backend.policy.outliers.min_health_percent}}
    if backend.discovery in _NO_CHOICE or balancing.balance is Balance.PASSTHROUGH:
        return {"lb_policy": "CLUSTER_PROVIDED", "common_lb_config": common}
    if balancing.locality_weighted:
        common["locality_weighted_lb_config"] = {}
    return {"lb_policy": _POLICIES[balancing.balance], "common_lb_config": common, **_settings(balancing)}


def _settings(balancing: LoadBalancing) -> dict[str, Any]:
    size = {"value": balancing.table_size}
    if balancing.balance is Balance.RING_HASH and balancing.table_size:
        # Envoy takes no ring whose least is above its most, which is 8M at first (RingHashLbConfig).
        return {"ring_hash_lb_config": {"minimum_ring_size": size}}
    if balancing.balance is Balance.MAGLEV and balancing.table_size:
        return {"maglev_lb_config": {"table_size": size}}
    if balancing.warmup is not None and balancing.balance in (Balance.LEAST_REQUEST, Balance.ROUND_ROBIN):
        return {f"{balancing.balance}_lb_config": {"slow_start_config": _slow_start(balancing.warmup)}}
    return {}


def _slow_start(warmup: Warmup) -> dict[str, Any]:
    return {
        "slow_start_window": duration(warmup.window),
        # The runtime key is Envoy's to demand; nobody sets it.
        "aggression": {"default_value": warmup.aggression, "runtime_key": "tulle.warmup"},
        "min_weight_percent": {"value": warmup.minimum_percent},
    }
