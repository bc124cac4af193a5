"""`loadBalancer` of a traffic policy.

Source: Istio, pkg/config/validation (validateLoadBalancer), its CRD, and Envoy's bounds.
"""

from __future__ import annotations

from tulle.model.durations import nanoseconds
from tulle.model.resources.destination_rule import ConsistentHashLB, LoadBalancerSettings, SimpleLB
from tulle.sources.at import At
from tulle.sources.validation import locality
from tulle.sources.validation.amounts import check_one_of, check_percent, check_time
from tulle.sources.validation.header_names import check_attribute, check_cookie_name, check_hashed_name

# Envoy: config.cluster.v3.Cluster.RingHashLbConfig and MaglevLbConfig.
_LARGEST_RING = 8 * 1024 * 1024
_MAGLEV_BOUND = 5_000_011
_WARMING = (None, SimpleLB.UNSPECIFIED, SimpleLB.ROUND_ROBIN, SimpleLB.LEAST_REQUEST, SimpleLB.LEAST_CONN)


def check(balancer: LoadBalancerSettings | None, at: At, *, outlier: bool) -> None:
    """outlier: whether there is an `outlierDetection` beside it."""
    if balancer is None:
        return
    check_one_of(balancer, at, simple="simple", consistent_hash="consistentHash")
    if balancer.consistent_hash is not None:
        _check_hash(balancer.consistent_hash, at.field("consistentHash"))
    locality.check(balancer.locality_lb_setting, at.field("localityLbSetting"), outlier=outlier)
    _check_warmup(balancer, at)


def _check_warmup(balancer: LoadBalancerSettings, at: At) -> None:
    check_time(balancer.warmup_duration_secs, at.field("warmupDurationSecs"))
    if balancer.warmup_duration_secs is not None and balancer.warmup is not None:
        at.field("warmupDurationSecs").warning("is not read beside `warmup`: leave it out")
    if balancer.warmup is None and balancer.warmup_duration_secs is None:
        return
    name = "warmup" if balancer.warmup is not None else "warmupDurationSecs"
    if balancer.consistent_hash is not None or balancer.simple not in _WARMING:
        at.field(name).warning("instances are warmed up by ROUND_ROBIN and LEAST_REQUEST only: here it does nothing")
    warmup = balancer.warmup
    if warmup is None:
        return
    at = at.field("warmup")
    if warmup.duration is None:
        at.field("duration").error("`warmup` needs a `duration`, such as `60s`")
    check_time(warmup.duration, at.field("duration"))
    if warmup.minimum_percent is not None:
        check_percent(warmup.minimum_percent, at.field("minimumPercent"))
    if warmup.aggression is not None and not warmup.aggression >= 1:
        at.field("aggression").error(f"{warmup.aggression:g} must be at least 1; 1 is a straight line")


def _check_hash(hashed: ConsistentHashLB, at: At) -> None:
    keys = check_one_of(
        hashed,
        at,
        http_header_name="httpHeaderName",
        http_cookie="httpCookie",
        use_source_ip="useSourceIp",
        http_query_parameter_name="httpQueryParameterName",
    )
    if not keys:
        at.warning(
            "names no key, so instances are chosen at random: give `httpHeaderName`, `httpCookie`, `useSourceIp` …"
        )
    if hashed.http_header_name is not None:
        check_hashed_name(hashed.http_header_name, at.field("httpHeaderName"))
    if hashed.http_query_parameter_name == "":
        at.field("httpQueryParameterName").unsupported("an empty name is never there to be hashed: name one")
    if (cookie := hashed.http_cookie) is not None:
        if not cookie.name:
            at.field("httpCookie").field("name").error("the cookie needs a name")
        check_cookie_name(cookie.name, at.field("httpCookie").field("name"))
        check_attribute(cookie.path, at.field("httpCookie").field("path"))
        _check_ttl(cookie.ttl, at.field("httpCookie").field("ttl"))
        for index, attribute in enumerate(cookie.attributes):
            place = at.field("httpCookie").field("attributes").item(index)
            if not attribute.name:
                place.field("name").error("the attribute needs a name")
            check_attribute(attribute.name, place.field("name"))
            check_attribute(attribute.value, place.field("value"))
    algorithms = check_one_of(hashed, at, ring_hash="ringHash", maglev="maglev")
    _check_sizes(hashed, at, algorithms)


def _check_ttl(ttl: str | None, at: At) -> None:
    """0s is a cookie of the session. Istio bounds it no further."""
    if ttl is None:
        return
    length = nanoseconds(ttl)
    if length is None:
        check_time(ttl, at)
    elif length < 0:
        at.unsupported(f"a cookie can't live for `{ttl}`: write 0s for the length of the session")


def _check_sizes(hashed: ConsistentHashLB, at: At, algorithms: int) -> None:
    if hashed.minimum_ring_size:
        deprecated = at.field("minimumRingSize")
        deprecated.warning("is deprecated: use `ringHash.minimumRingSize`")
        if algorithms:
            deprecated.error("stands beside `ringHash` or `maglev`, which has a size of its own: leave it out")
        _check_ring(hashed.minimum_ring_size, deprecated)
    if hashed.ring_hash is not None:
        _check_ring(hashed.ring_hash.minimum_ring_size, at.field("ringHash").field("minimumRingSize"))
    if hashed.maglev is not None:
        size = hashed.maglev.table_size
        if not 0 < size < _MAGLEV_BOUND or not _is_prime(size):
            at.field("maglev").field("tableSize").error(
                f"{size} must be a prime number less than {_MAGLEV_BOUND}, such as 65537"
            )


def _check_ring(size: int, at: At) -> None:
    if size > _LARGEST_RING:
        at.unsupported(f"{size} is more than Envoy's largest ring, {_LARGEST_RING}")


def _is_prime(number: int) -> bool:
    """As Envoy counts, by which 1 is one."""
    if number < 4:
        return number > 0
    return number % 2 == 1 and all(number % factor for factor in range(3, int(number**0.5) + 1, 2))
