"""DestinationRules to policies: which words hold, and what is taken for those that are not said."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tulle.ir.policies import (
    DEFAULT,
    Balance,
    ConnectionPool,
    HashKey,
    Keepalive,
    OriginateTls,
    Outliers,
    Policy,
    RetryBudget,
    Warmup,
)
from tulle.model.resources.destination_rule import DestinationRule
from tulle.model.resources.mesh_config import MeshConfig
from tulle.model.resources.resource import Ref, Resource
from tulle.resolve.policies import locality_setting, policy, subset_labels

SECOND = 1_000_000_000


def rule(name: str = "reviews", **spec: Any) -> Resource:
    ref = Ref("DestinationRule", "default", name)
    return Resource(ref, msgspec.convert({"host": "reviews", **spec}, DestinationRule))


def mesh(**config: Any) -> MeshConfig:
    return msgspec.convert(config, MeshConfig)


def made(traffic_policy: dict[str, Any], config: MeshConfig | None = None) -> Policy:
    return policy([rule(trafficPolicy=traffic_policy)], 80, "", config)


def test_with_no_rule_a_service_is_used_as_tulle_uses_it() -> None:
    assert policy([], 80, "", None) == DEFAULT
    assert policy([], 80, "v1", mesh()) == DEFAULT


def test_what_is_said_of_a_subset_takes_the_place_of_the_hosts_one_group_at_a_time() -> None:
    reviews = rule(
        trafficPolicy={"loadBalancer": {"simple": "RANDOM"}, "connectionPool": {"tcp": {"maxConnections": 5}}},
        subsets=[
            {"name": "v1", "labels": {"version": "v1"}, "trafficPolicy": {"loadBalancer": {"simple": "ROUND_ROBIN"}}},
            {"name": "v2", "labels": {"version": "v2"}},
        ],
    )
    v1, v2 = policy([reviews], 80, "v1", None), policy([reviews], 80, "v2", None)
    assert (v1.balancing.balance, v1.pool.max_connections) == (Balance.ROUND_ROBIN, 5)
    assert (v2.balancing.balance, v2.pool.max_connections) == (Balance.RANDOM, 5)
    assert subset_labels([reviews], "v1") == {"version": "v1"}
    assert subset_labels([reviews], "v3") is None


def test_what_is_said_of_a_port_inherits_nothing_from_the_host() -> None:
    reviews = rule(
        trafficPolicy={
            "loadBalancer": {"simple": "RANDOM"},
            "connectionPool": {"tcp": {"maxConnections": 5}},
            "portLevelSettings": [{"port": {"number": 80}, "loadBalancer": {"simple": "ROUND_ROBIN"}}],
        },
        subsets=[
            {"name": "v1", "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 7}}}},
            {
                "name": "v2",
                "trafficPolicy": {
                    "portLevelSettings": [{"port": {"number": 80}, "connectionPool": {"tcp": {"maxConnections": 9}}}]
                },
            },
        ],
    )
    at_80, at_81 = policy([reviews], 80, "", None), policy([reviews], 81, "", None)
    assert (at_80.balancing.balance, at_80.pool.max_connections) == (Balance.ROUND_ROBIN, None)
    assert (at_81.balancing.balance, at_81.pool.max_connections) == (Balance.RANDOM, 5)
    v1, v2 = policy([reviews], 80, "v1", None), policy([reviews], 80, "v2", None)
    assert (v1.balancing.balance, v1.pool.max_connections) == (Balance.ROUND_ROBIN, 7)
    assert (v2.balancing.balance, v2.pool.max_connections) == (Balance.LEAST_REQUEST, 9)
    v2_at_81 = policy([reviews], 81, "v2", None)
    assert (v2_at_81.balancing.balance, v2_at_81.pool.max_connections) == (Balance.RANDOM, 5)


def test_of_several_rules_the_first_policy_wins_and_subsets_are_united() -> None:
    first = rule("first", subsets=[{"name": "v1", "labels": {"version": "1"}}])
    second = rule(
        "second",
        trafficPolicy={"loadBalancer": {"simple": "RANDOM"}},
        subsets=[{"name": "v1", "labels": {"version": "other"}}, {"name": "v2", "labels": {"version": "2"}}],
    )
    third = rule("third", trafficPolicy={"loadBalancer": {"simple": "ROUND_ROBIN"}})
    rules = [first, second, third]
    assert policy(rules, 80, "v1", None).balancing.balance is Balance.RANDOM
    assert subset_labels(rules, "v1") == {"version": "1"}
    assert subset_labels(rules, "v2") == {"version": "2"}
    assert policy([first], 80, "", None).source == ("DestinationRule default/first",)


def test_the_meshs_words_hold_where_a_rule_says_nothing() -> None:
    config = mesh(
        connectTimeout="7s",
        tcpKeepalive={"time": "60s", "interval": "10s", "probes": 3},
        dnsRefreshRate="5s",
        defaultTrafficPolicy={
            "connectionPool": {"tcp": {"maxConnections": 5}, "http": {"maxRetries": 2}},
            "outlierDetection": {"consecutive5xxErrors": 9, "interval": "3s"},
        },
    )
    alone = policy([], 80, "", config)
    assert (alone.pool.connect_timeout, alone.pool.keepalive) == (7 * SECOND, Keepalive(3, 60, 10))
    assert alone.dns_refresh == 5 * SECOND
    assert (alone.pool.max_connections, alone.pool.max_retries, alone.outliers.consecutive_5xx) == (5, 2, 9)
    said = {"connectionPool": {"tcp": {"connectTimeout": "1s"}}, "outlierDetection": {"consecutive5xxErrors": 2}}
    over = made(said, config)
    assert (over.pool.connect_timeout, over.pool.max_connections, over.pool.max_retries) == (SECOND, 5, 2)
    assert (over.outliers.consecutive_5xx, over.outliers.interval) == (2, 3 * SECOND)


@pytest.mark.parametrize(
    ("said", "balance", "key", "size"),
    [
        ({"simple": "LEAST_CONN"}, Balance.LEAST_REQUEST, None, 0),
        ({"simple": "UNSPECIFIED"}, Balance.LEAST_REQUEST, None, 0),
        ({"simple": "PASSTHROUGH"}, Balance.PASSTHROUGH, None, 0),
        ({"consistentHash": {"httpHeaderName": "x-user"}}, Balance.RING_HASH, HashKey(header="x-user"), 1024),
        ({"consistentHash": {"useSourceIp": True, "maglev": {}}}, Balance.MAGLEV, HashKey(source_ip=True), 0),
        (
            {"consistentHash": {"httpQueryParameterName": "u", "maglev": {"tableSize": 101}}},
            Balance.MAGLEV,
            HashKey(query_parameter="u"),
            101,
        ),
        (
            {
                "consistentHash": {
                    "httpCookie": {"name": "c", "path": "/p", "ttl": "0s", "attributes": [{"name": "SameSite"}]},
                    "ringHash": {"minimumRingSize": 64},
                }
            },
            Balance.RING_HASH,
            HashKey(cookie="c", cookie_path="/p", cookie_ttl=0, cookie_attributes=(("SameSite", ""),)),
            64,
        ),
    ],
)
def test_load_balancers(said: dict[str, Any], balance: Balance, key: HashKey | None, size: int) -> None:
    found = made({"loadBalancer": said}).balancing
    assert (found.balance, found.hash_key, found.table_size) == (balance, key, size)


def test_endpoints_warm_up_by_the_new_words_and_by_the_old_one() -> None:
    old = made({"loadBalancer": {"simple": "ROUND_ROBIN", "warmupDurationSecs": "30s"}})
    assert old.balancing.warmup == Warmup(30 * SECOND, 10.0, 1.0)
    new = made({"loadBalancer": {"warmup": {"duration": "30s", "minimumPercent": 25, "aggression": 2}}})
    assert new.balancing.warmup == Warmup(30 * SECOND, 25.0, 2.0)
    assert made({"loadBalancer": {"simple": "RANDOM", "warmup": {"duration": "30s"}}}).balancing.warmup is None


def test_outlier_detection_that_is_asked_for_has_istios_defaults() -> None:
    assert made({"outlierDetection": {}}).outliers == Outliers(
        consecutive_5xx=5,
        consecutive_gateway=0,
        consecutive_local=0,
        split_local=False,
        interval=10 * SECOND,
        base_ejection=30 * SECOND,
        max_ejection=300 * SECOND,
        max_ejection_percent=10,
        at_least_one=True,
    )
    said = {
        "consecutive5xxErrors": 0,
        "consecutiveGatewayErrors": 3,
        "splitExternalLocalOriginErrors": True,
        "consecutiveLocalOriginFailures": 2,
        "interval": "1s",
        "baseEjectionTime": "10m",
        "maxEjectionPercent": 100,
        "minHealthPercent": 40,
        "outlierDetectionHttpErrorCodes": [429, 409, 429],
    }
    assert made({"outlierDetection": said}).outliers == Outliers(
        consecutive_5xx=0,
        consecutive_gateway=3,
        consecutive_local=2,
        split_local=True,
        interval=SECOND,
        base_ejection=600 * SECOND,
        max_ejection=600 * SECOND,
        max_ejection_percent=100,
        at_least_one=True,
        min_health_percent=40,
        codes=(409, 429),
    )


def test_connection_pools() -> None:
    tcp = {"maxConnections": 1, "connectTimeout": "30ms", "idleTimeout": "5s", "maxConnectionDuration": "1h"}
    http = {
        "http1MaxPendingRequests": 2,
        "http2MaxRequests": 3,
        "maxRequestsPerConnection": 4,
        "maxRetries": 5,
        "h2UpgradePolicy": "UPGRADE",
        "useClientProtocol": True,
        "maxConcurrentStreams": 6,
        "http2KeepAlive": {"interval": "7s", "timeout": "2s"},
    }
    assert made({"connectionPool": {"tcp": tcp, "http": http}}).pool == ConnectionPool(
        max_connections=1,
        connect_timeout=30_000_000,
        tcp_idle_timeout=5 * SECOND,
        max_connection_duration=3600 * SECOND,
        max_pending_requests=2,
        max_requests=3,
        max_requests_per_connection=4,
        max_retries=5,
        http_idle_timeout=5 * SECOND,
        max_concurrent_streams=6,
        http2=True,
        use_client_protocol=True,
        ping_interval=7 * SECOND,
        ping_timeout=2 * SECOND,
    )
    assert made({"connectionPool": {"http": {"idleTimeout": "3s"}}}).pool.http_idle_timeout == 3 * SECOND


def test_tls() -> None:
    files = {"clientCertificate": "/c.pem", "privateKey": "/k.pem", "caCertificates": "/ca.pem", "caCrl": "/crl.pem"}
    said = {"mode": "MUTUAL", "sni": "a.example", "subjectAltNames": ["b.example"], **files}
    assert made({"tls": said}).tls == OriginateTls(
        "/c.pem", "/k.pem", "/ca.pem", "/crl.pem", ("b.example",), "a.example"
    )
    assert made({"tls": {"mode": "SIMPLE", "insecureSkipVerify": True}}).tls == OriginateTls(verify=False)
    assert made({"tls": {"mode": "SIMPLE", "caCertificates": "system"}}).tls == OriginateTls()
    assert made({"tls": {"mode": "DISABLE"}}) == policy([], 80, "", None).__class__(
        plaintext=True, source=("DestinationRule default/reviews",)
    )
    mutual = made({"tls": {"mode": "ISTIO_MUTUAL"}}).tls
    assert mutual is not None and mutual.mesh


def test_what_is_left_of_a_traffic_policy() -> None:
    assert made({"proxyProtocol": {}}).proxy_protocol == 1
    assert made({"proxyProtocol": {"version": "V2"}}).proxy_protocol == 2
    assert made({"retryBudget": {}}).retry_budget == RetryBudget()
    budget = {"percent": 5, "minRetryConcurrency": 1, "budgetInterval": "10s"}
    assert made({"retryBudget": budget}).retry_budget == RetryBudget(5.0, 1, 10 * SECOND)
    tunnel = {"protocol": "POST", "targetHost": "a.example", "targetPort": 443}
    assert made({"tunnel": tunnel}).tunnel == ("POST", "a.example:443")


def test_localities_stand_in_for_each_other_only_with_outlier_detection_that_was_asked_for() -> None:
    setting, failover = locality_setting([], 80, "", None)
    assert setting is not None and not failover
    asked = rule(trafficPolicy={"outlierDetection": {}})
    setting, failover = locality_setting([asked], 80, "", None)
    assert setting is not None and failover
    assert locality_setting([asked], 80, "", mesh(localityLbSetting={"enabled": False}))[0] is None
    off = rule(trafficPolicy={"loadBalancer": {"localityLbSetting": {"enabled": False}}})
    assert locality_setting([off], 80, "", None)[0] is None
    own = rule(trafficPolicy={"loadBalancer": {"localityLbSetting": {"failoverPriority": ["a"]}}})
    setting, _ = locality_setting([own], 80, "", mesh(localityLbSetting={"enabled": False}))
    assert setting is not None and setting.failover_priority == ("a",)
    assert not policy([own], 80, "", None).balancing.locality_weighted
    to = [{"from": "*", "to": {"a": 100}}]
    shared = made({"loadBalancer": {"localityLbSetting": {"distribute": to}}})
    assert shared.balancing.locality_weighted
