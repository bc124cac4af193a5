"""What a rule asks for and instances with sidecars can't be given is told, and what they can be given is left in peace."""

from __future__ import annotations

import pytest

from declared_mesh import instance, mesh
from tulle.model.levels import Level
from tulle.model.workload import Protocol
from tulle.resolve.analysis.analyse import analyse
from tulle.resolve.analysis.findings import Finding

ENTRY = """
ServiceEntry outside
hosts: [api.example.com]
ports: [{number: 80, name: http, protocol: HTTP}]
resolution: DNS
"""


def found(policy: str, host: str = "reviews") -> list[Finding]:
    there = (instance("reviews"), instance("db", port=5432, protocol=Protocol.TCP))
    rule = f"DestinationRule rule\nhost: {host}\ntrafficPolicy: {policy}\n"
    return list(analyse(mesh(ENTRY, rule, there=there)))


WITHOUT_EFFECT = [
    ("{tls: {mode: DISABLE}}", "tls.mode", "the mesh's mutual TLS"),
    ("{tls: {mode: SIMPLE}}", "tls.mode", "the mesh's mutual TLS"),
    ("{portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE}}]}", "portLevelSettings[0].tls.mode", "mutual TLS"),
    ("{proxyProtocol: {version: V2}}", "proxyProtocol", "no PROXY header"),
    ("{connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}", "connectionPool.http.h2UpgradePolicy", "speak HTTP/2"),
    ("{connectionPool: {http: {useClientProtocol: true}}}", "connectionPool.http.useClientProtocol", "speak HTTP/2"),
    ("{loadBalancer: {simple: PASSTHROUGH}}", "loadBalancer.simple", "by LEAST_REQUEST"),
]


@pytest.mark.parametrize(("policy", "path", "said"), WITHOUT_EFFECT)
def test_what_sidecars_do_not_do_is_told(policy: str, path: str, said: str) -> None:
    (one,) = found(policy)
    assert (one.path, one.level) == (f"spec.trafficPolicy.{path}", Level.WARNING)
    assert said in one.message


@pytest.mark.parametrize("policy", [policy for policy, _, _ in WITHOUT_EFFECT])
def test_it_is_done_for_hosts_without_sidecars(policy: str) -> None:
    assert found(policy, "api.example.com") == []


@pytest.mark.parametrize(
    "policy",
    [
        "{tls: {mode: ISTIO_MUTUAL}}",
        "{loadBalancer: {simple: ROUND_ROBIN}, connectionPool: {http: {http1MaxPendingRequests: 1}}}",
        "{loadBalancer: {consistentHash: {httpHeaderName: x-user}}}",
    ],
)
def test_what_sidecars_do_is_left_in_peace(policy: str) -> None:
    assert found(policy) == []


def test_of_what_is_no_http_only_the_source_can_be_hashed() -> None:
    (one,) = found("{loadBalancer: {consistentHash: {httpHeaderName: x-user}}}", "db")
    assert one.path == "spec.trafficPolicy.loadBalancer.consistentHash"
    assert "no HTTP at 5432" in one.message
    assert found("{loadBalancer: {consistentHash: {useSourceIp: true}}}", "db") == []
