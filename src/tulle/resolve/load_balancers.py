"""LoadBalancerSettings: by what rule an endpoint is chosen.

Source: Istio, Destination Rule, `LoadBalancerSettings`; what it leaves open is as Istio does it: a
consistent hash is of a ring of 1,024 at least, and LEAST_CONN is an older word for LEAST_REQUEST.
"""

from __future__ import annotations

from tulle.ir.policies import Balance, HashKey, LoadBalancing, Warmup
from tulle.model.durations import nanoseconds
from tulle.model.resources.destination_rule import (
    ConsistentHashLB,
    LoadBalancerSettings,
    SimpleLB,
    WarmupConfiguration,
)

_SIMPLE = {
    SimpleLB.RANDOM: Balance.RANDOM,
    SimpleLB.PASSTHROUGH: Balance.PASSTHROUGH,
    SimpleLB.ROUND_ROBIN: Balance.ROUND_ROBIN,
}
# Those that know of warming up.
_WARMING = (Balance.LEAST_REQUEST, Balance.ROUND_ROBIN)


def load_balancing(said: LoadBalancerSettings | None, locality_weighted: bool) -> LoadBalancing:
    """Least request where nothing is said. locality_weighted: as of `ir.policies.LoadBalancing`."""
    if said is None:
        return LoadBalancing(locality_weighted=locality_weighted)
    if said.consistent_hash is not None:
        balance, size = _table(said.consistent_hash)
        key = _hash_key(said.consistent_hash)
        return LoadBalancing(balance, key, size, locality_weighted=locality_weighted)
    balance = _SIMPLE.get(said.simple or SimpleLB.UNSPECIFIED, Balance.LEAST_REQUEST)
    warmup = _warmup(said) if balance in _WARMING else None
    return LoadBalancing(balance, warmup=warmup, locality_weighted=locality_weighted)


def _table(said: ConsistentHashLB) -> tuple[Balance, int]:
    if said.maglev is not None:
        return Balance.MAGLEV, said.maglev.table_size
    if said.ring_hash is not None:
        return Balance.RING_HASH, said.ring_hash.minimum_ring_size
    return Balance.RING_HASH, said.minimum_ring_size or 1024


def _hash_key(said: ConsistentHashLB) -> HashKey | None:
    """None where no key is said: then each request is on its own."""
    if said.http_header_name:
        return HashKey(header=said.http_header_name)
    if said.http_cookie is not None:
        cookie = said.http_cookie
        return HashKey(
            cookie=cookie.name,
            cookie_path=cookie.path,
            cookie_ttl=None if cookie.ttl is None else nanoseconds(cookie.ttl),
            cookie_attributes=tuple((attribute.name, attribute.value) for attribute in cookie.attributes),
        )
    if said.http_query_parameter_name:
        return HashKey(query_parameter=said.http_query_parameter_name)
    return HashKey(source_ip=True) if said.use_source_ip else None


def _warmup(said: LoadBalancerSettings) -> Warmup | None:
    config = said.warmup
    if config is None and said.warmup_duration_secs:
        config = WarmupConfiguration(duration=said.warmup_duration_secs)
    window = nanoseconds(config.duration) if config and config.duration else None
    if config is None or window is None:
        return None
    return Warmup(
        window,
        10.0 if config.minimum_percent is None else config.minimum_percent,
        1.0 if config.aggression is None else config.aggression,
    )
