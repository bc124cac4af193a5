"""Documents that Istio's own resource definitions (CRDs) and its validation take or refuse: tulle says the same.

Of each kind the conditions that Istio tests, in documents of our own.
"""

from __future__ import annotations

import pytest

from tulle.sources.codec import read


def errors(kind: str, spec: str) -> list[str]:
    text = f"apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata: {{name: a, namespace: default}}\n{spec}"
    [checked] = read(text.encode(), "f", "default")
    return [problem.path for problem in checked.problems if problem.severity == "error"]


@pytest.mark.parametrize(
    ("kind", "spec", "path"),
    [
        *((kind, "", "spec") for kind in ("ServiceEntry", "WorkloadEntry", "WorkloadGroup", "VirtualService")),
        ("ServiceEntry", "{}", "spec.hosts"),
        ("ServiceEntry", "{hosts: [e.com], workloadSelector: {labels: {a: '*'}}}", "spec.workloadSelector.labels.a"),
        (
            "ServiceEntry",
            "{hosts: [e.com], resolution: STATIC, workloadSelector: {}, endpoints: [{address: 1.2.3.4}]}",
            "spec",
        ),
        ("ServiceEntry", "{hosts: ['*']}", "spec.hosts[0]"),
        ("ServiceEntry", "{hosts: [e.com], addresses: [10.0.0.0/8], resolution: DNS}", "spec.addresses"),
        ("ServiceEntry", "{hosts: [e.com], ports: [{name: a, number: 1}, {name: a, number: 2}]}", "spec.ports"),
        ("ServiceEntry", "{hosts: [e.com], ports: [{name: a, number: 1}, {name: b, number: 1}]}", "spec.ports"),
        ("ServiceEntry", "{hosts: [e.com], ports: [{name: a, number: 70000}]}", "spec.ports[0].number"),
        ("ServiceEntry", "{hosts: [e.com], ports: [{name: a, number: 1, targetPort: 70000}]}", "spec.ports[0].target"),
        ("ServiceEntry", "{hosts: [e.com], resolution: NONE, endpoints: [{address: 1.2.3.4}]}", "spec"),
        (
            "ServiceEntry",
            "{hosts: [e.com], resolution: DNS_ROUND_ROBIN, endpoints: [{address: a.com}, {address: b.com}]}",
            "spec",
        ),
        ("ServiceEntry", "{hosts: [e.com], location: INSIDE}", "spec.location"),
        ("ServiceEntry", "{hosts: [e.com], ports: [{name: a, number: '80'}]}", "spec.ports[0].number"),
        ("DestinationRule", "{host: a, trafficPolicy: {loadBalancer: {warmup: {minimumPercent: 5.0}}}}", "warmup"),
        (
            "DestinationRule",
            "{host: a, trafficPolicy: {loadBalancer: {warmup: {duration: 9s, minimumPercent: 150}}}}",
            "warmup.minimumPercent",
        ),
        (
            "DestinationRule",
            "{host: a, trafficPolicy: {loadBalancer: {warmup: {duration: 9s, aggression: 0.3}}}}",
            "warmup.aggression",
        ),
        ("DestinationRule", "{host: a, trafficPolicy: {connectionPool: {tcp: {connectTimeout: 5}}}}", "connectTimeout"),
        ("WorkloadEntry", "{}", "spec.address"),
        ("WorkloadEntry", "{address: 'unix:///a/'}", "spec.address"),
        ("WorkloadEntry", "{address: 'unix://a'}", "spec.address"),
        ("WorkloadEntry", "{address: 'unix://@a', ports: {http: 80}}", "spec.ports"),
        ("WorkloadEntry", "{address: 1.1.1.1, ports: {http: 70000}}", "spec.ports"),
        ("WorkloadEntry", "{address: 1.1.1.1, ports: {'@': 80}}", "spec.ports"),
        ("WorkloadGroup", "{template: {}, probe: {tcpSocket: {port: 65536}}}", "spec.probe.tcpSocket.port"),
        (
            "WorkloadGroup",
            "{template: {}, probe: {httpGet: {port: 80, httpHeaders: [{name: '**'}]}}}",
            "httpHeaders[0]",
        ),
        ("VirtualService", "{hosts: [a], http: [{route: [{destination: {host: a}}], timeout: 5}]}", "http[0].timeout"),
        ("VirtualService", "{hosts: [a], http: [{fault: {abort: {httpStatus: '500'}}}]}", "abort.httpStatus"),
    ],
)
def test_what_istio_refuses_is_an_error_in_its_place(kind: str, spec: str, path: str) -> None:
    found = errors(kind, f"spec: {spec}" if spec else "")
    assert any(path in one for one in found), found


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("ServiceEntry", "{hosts: [e.com]}"),
        ("ServiceEntry", "{hosts: ['*.e.com'], ports: [{name: https, number: 443, protocol: TLS}]}"),
        (
            "ServiceEntry",
            "{hosts: [e.com], addresses: [10.0.0.0/8], resolution: STATIC, endpoints: [{address: 1.1.1.1}]}",
        ),
        ("WorkloadEntry", "{address: 'unix:///a/b'}"),
        ("WorkloadEntry", "{address: 1.1.1.1, ports: {http: 80}, labels: {a: b}, weight: 4294967295}"),
        ("WorkloadGroup", "{template: {serviceAccount: a}, metadata: {labels: {app: a}}}"),
        (
            "DestinationRule",
            "{host: a, trafficPolicy: {loadBalancer: {warmup: {duration: 300s, minimumPercent: 0.5}}}}",
        ),
        ("DestinationRule", "{host: a, trafficPolicy: {outlierDetection: {consecutive5xxErrors: null}}}"),
        ("VirtualService", "{hosts: [a], http: [{route: [{destination: {host: a}, weight: 100.0}], retries: null}]}"),
    ],
)
def test_what_istio_takes_is_valid(kind: str, spec: str) -> None:
    assert errors(kind, f"spec: {spec}") == []
