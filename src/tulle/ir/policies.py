"""How a backend is used: load balancing, limits, ejection, TLS. What a user does not say is tulle's default already.

Lengths of time are in nanoseconds; None is Envoy's own way.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Balance(StrEnum):
    LEAST_REQUEST = "least_request"
    ROUND_ROBIN = "round_robin"
    RANDOM = "random"
    PASSTHROUGH = "passthrough"  # to where the caller's connection was going
    RING_HASH = "ring_hash"
    MAGLEV = "maglev"


class HashKey(Struct, frozen=True):
    """By what requests are kept together: exactly one of these. cookie_ttl: None takes a cookie and makes none."""

    header: str = ""
    cookie: str = ""
    cookie_path: str = ""
    cookie_ttl: int | None = None
    cookie_attributes: tuple[tuple[str, str], ...] = ()
    query_parameter: str = ""
    source_ip: bool = False


class Warmup(Struct, frozen=True):
    """A new endpoint's share grows over `window`. Percentages from 0 to 100."""

    window: int
    minimum_percent: float = 10.0
    aggression: float = 1.0


class LoadBalancing(Struct, frozen=True):
    """hash_key: for RING_HASH and MAGLEV. table_size: minimum ring size, or Maglev's table; 0 for Envoy's own.

    locality_weighted: endpoints are divided by the weights of their localities (`distribute`).
    """

    balance: Balance = Balance.LEAST_REQUEST
    hash_key: HashKey | None = None
    table_size: int = 0
    warmup: Warmup | None = None
    locality_weighted: bool = False


class Keepalive(Struct, frozen=True):
    """Of TCP; seconds, 0 for the system's."""

    probes: int = 0
    time: int = 0
    interval: int = 0


class ConnectionPool(Struct, frozen=True):
    """None: no limit, of a number; Envoy's or tulle's own, of a length of time.

    http2: speak HTTP/2 to a program that speaks it only when asked to (h2UpgradePolicy); None says nothing.
    """

    max_connections: int | None = None
    connect_timeout: int | None = None
    tcp_idle_timeout: int | None = None
    max_connection_duration: int | None = None
    keepalive: Keepalive | None = None
    max_pending_requests: int | None = None
    max_requests: int | None = None
    max_requests_per_connection: int | None = None
    max_retries: int | None = None
    http_idle_timeout: int | None = None
    max_concurrent_streams: int | None = None
    http2: bool | None = None
    use_client_protocol: bool = False
    ping_interval: int | None = None
    ping_timeout: int | None = None


class RetryBudget(Struct, frozen=True):
    """Retries may be `percent` of the requests that are active; `interval`: in nanoseconds, None for those of now."""

    percent: float = 20.0
    min_concurrency: int = 3
    interval: int | None = None


class Outliers(Struct, frozen=True):
    """When an endpoint is left out. 0: never for that reason. codes: further HTTP codes that count as errors.

    at_least_one: whether the only one that is ill is left out even where that is more than max_ejection_percent.
    """

    consecutive_5xx: int = 0
    consecutive_gateway: int = 5
    consecutive_local: int = 5
    split_local: bool = True
    interval: int = 1_000_000_000
    base_ejection: int = 5_000_000_000
    max_ejection: int | None = 60_000_000_000
    max_ejection_percent: int = 50
    at_least_one: bool = False
    min_health_percent: int = 0
    codes: tuple[int, ...] = ()


class OriginateTls(Struct, frozen=True):
    """TLS that a sidecar begins itself, with files of its machine (`SIMPLE`, `MUTUAL`). ca "": the system's roots.

    mesh: with the mesh's own certificates instead (`ISTIO_MUTUAL`), also where there is no sidecar.
    """

    certificate: str = ""
    key: str = ""
    ca: str = ""
    crl: str = ""
    names: tuple[str, ...] = ()
    sni: str = ""
    verify: bool = True
    mesh: bool = False


class Policy(Struct, frozen=True):
    """One backend's. proxy_protocol: 0, 1 or 2. plaintext: `DISABLE`, to what should otherwise be TLS.

    tunnel: `CONNECT` or `POST`, and host:port, for TCP. dns_refresh: nanoseconds between look-ups, where endpoints are by DNS.
    source: the DestinationRules that made it.
    """

    balancing: LoadBalancing = LoadBalancing()
    pool: ConnectionPool = ConnectionPool()
    outliers: Outliers = Outliers()
    tls: OriginateTls | None = None
    plaintext: bool = False
    proxy_protocol: int = 0
    retry_budget: RetryBudget | None = None
    tunnel: tuple[str, str] | None = None
    dns_refresh: int | None = None
    source: tuple[str, ...] = ()


DEFAULT = Policy()
