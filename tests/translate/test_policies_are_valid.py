"""Every policy makes a cluster that Envoy takes, for each way in which a backend is found and spoken to."""

from __future__ import annotations

import json
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from certificates import Authority, write_identity, write_system_roots
from policy_mesh import DESTINATION, bootstrap, door
from tulle.envoy_api import binary
from tulle.ir.policies import DEFAULT, OriginateTls, Policy
from tulle.ir.types import Backend, Discovery, Endpoint, Locality, Transport
from tulle.model.resources.destination_rule import DestinationRule
from tulle.model.resources.resource import Ref, Resource
from tulle.resolve.policies import policy
from tulle.translate.backend_clusters import backend_cluster
from validating import alone

TABLES: list[dict[str, Any]] = [
    {},
    {"ringHash": {"minimumRingSize": 100000}},
    {"maglev": {}},
    {"maglev": {"tableSize": 65537}},
]
LOAD_BALANCERS: list[dict[str, Any]] = [
    *({"simple": simple} for simple in ("LEAST_REQUEST", "LEAST_CONN", "ROUND_ROBIN", "RANDOM", "PASSTHROUGH")),
    {"simple": "ROUND_ROBIN", "warmup": {"duration": "30s", "minimumPercent": 5, "aggression": 1.5}},
    {"warmupDurationSecs": "1s"},
    *(
        {"consistentHash": {**key, **table}}
        for key in (
            {"httpHeaderName": "x-user"},
            {"httpCookie": {"name": "user", "ttl": "0s"}},
            {"useSourceIp": True},
            {"httpQueryParameterName": "user"},
        )
        for table in TABLES
    ),
    {"localityLbSetting": {"distribute": [{"from": "*", "to": {"eu/*": 100}}]}},
]
POLICIES: list[dict[str, Any]] = [
    *({"loadBalancer": found} for found in LOAD_BALANCERS),
    {
        "connectionPool": {
            "tcp": {
                "maxConnections": 1,
                "connectTimeout": "1ms",
                "maxConnectionDuration": "3h",
                "idleTimeout": "1m",
                "tcpKeepalive": {"time": "60s", "interval": "5s", "probes": 3},
            },
            "http": {
                "http1MaxPendingRequests": 1,
                "http2MaxRequests": 1,
                "maxRequestsPerConnection": 1,
                "maxRetries": 1,
                "idleTimeout": "1s",
                "h2UpgradePolicy": "UPGRADE",
                "maxConcurrentStreams": 7,
                "http2KeepAlive": {"interval": "1s", "timeout": "1s"},
            },
        }
    },
    {"connectionPool": {"http": {"useClientProtocol": True}}},
    {"outlierDetection": {}},
    {
        "outlierDetection": {
            "splitExternalLocalOriginErrors": True,
            "consecutiveLocalOriginFailures": 3,
            "consecutiveGatewayErrors": 2,
            "baseEjectionTime": "10m",
            "minHealthPercent": 50,
            "outlierDetectionHttpErrorCodes": [404, 429],
        }
    },
    {"tls": {"mode": "DISABLE"}},
    {"tls": {"mode": "ISTIO_MUTUAL", "subjectAltNames": ["spiffe://cluster.local/ns/a/sa/b"]}},
    {"tls": {"mode": "SIMPLE"}},
    {"tls": {"mode": "SIMPLE", "sni": "a.example", "subjectAltNames": ["10.0.0.1", "a.example", "spiffe://a/b"]}},
    {"proxyProtocol": {"version": "V2"}, "tls": {"mode": "SIMPLE", "insecureSkipVerify": True}},
    {"retryBudget": {"percent": 30, "minRetryConcurrency": 2, "budgetInterval": "5s"}},
    {"tunnel": {"protocol": "POST", "targetHost": "a.example", "targetPort": 443}},
]


def said(traffic_policy: dict[str, Any]) -> Policy:
    spec = msgspec.convert({"host": "reviews", "trafficPolicy": traffic_policy}, DestinationRule)
    return policy([Resource(Ref("DestinationRule", "default", "reviews"), spec)], 80, "", None)


def backends() -> list[Backend]:
    """Every policy with every transport, and a few with every discovery."""
    policies = [said(words) for words in POLICIES]
    by_policy = [
        Backend(DESTINATION, (), tcp, http2=http2, transport=transport, policy=found)
        for found, transport, (tcp, http2) in product(
            policies, Transport, ((False, False), (False, True), (True, False))
        )
    ]
    place = (Locality(0, "eu/a/1", (Endpoint("localhost", 80, weight=2),)),)
    found_by = {Discovery.DNS: place, Discovery.DNS_ROUND_ROBIN: place, Discovery.DYNAMIC: (), Discovery.ORIGINAL: ()}
    by_discovery = [
        Backend(
            DESTINATION,
            (),
            discovery=discovery,
            transport=Transport.PLAIN,
            localities=found_by[discovery],
            policy=found,
        )
        for discovery, found in product(found_by, (*policies, DEFAULT))
    ]
    return by_policy + by_discovery


def test_envoy_takes_each_of_them(tmp_path: Path) -> None:
    write_identity(tmp_path)
    write_system_roots(tmp_path, Authority(tmp_path).roots)
    clusters, doors = [], []
    for number, backend in enumerate(backends()):
        backend = replace(backend, subset=str(number))
        cluster, listener = backend_cluster(backend), door(backend)
        _as_static(cluster)
        clusters.append(cluster)
        doors.append(listener)
    settings = alone(bootstrap(clusters, doors))
    (tmp_path / "bootstrap.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [binary.find().path, "--mode", "validate", "-c", "bootstrap.json", "-l", "error"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr + done.stdout


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    backend = Backend(DESTINATION, (), transport=Transport.PLAIN, policy=Policy(tls=OriginateTls(ca="/no/such.pem")))
    cluster = backend_cluster(backend)
    _as_static(cluster)
    (tmp_path / "bootstrap.json").write_text(json.dumps(bootstrap([cluster], [])))
    done = subprocess.run(
        [binary.find().path, "--mode", "validate", "-c", "bootstrap.json", "-l", "error"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0 and "/no/such.pem" in done.stderr + done.stdout


def _as_static(cluster: Any) -> None:
    """There is no control plane that could tell endpoints, so it has none."""
    if cluster.HasField("eds_cluster_config"):
        cluster.ClearField("eds_cluster_config")
        cluster.type = "STATIC"
