"""Documents that Istio's own resource definitions (CRDs) and its validation take or refuse: tulle says the same.

Of each kind the conditions that Istio tests, in documents of our own.
"""

from __future__ import annotations

import pytest

from tulle.model.resources.resource import APIS
from tulle.sources.codec import read


def errors(kind: str, spec: str) -> list[str]:
    text = f"apiVersion: {APIS[kind]}\nkind: {kind}\nmetadata: {{name: a, namespace: default}}\n{spec}"
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
        ("PeerAuthentication", "{mtls: {mode: BLAH}}", "spec.mtls.mode"),
        ("PeerAuthentication", "{selector: {matchLabels: {a: b}}, portLevelMtls: {acd: {mode: STRICT}}}", "Mtls.acd"),
        ("PeerAuthentication", "{portLevelMtls: {80: {mode: STRICT}}}", "spec.portLevelMtls"),
        ("PeerAuthentication", "{selector: {matchLabels: {a: b}}, portLevelMtls: {0: {}}}", "portLevelMtls.0"),
        ("RequestAuthentication", "{jwtRules: [null]}", "spec.jwtRules[0]"),
        ("RequestAuthentication", "{jwtRules: [{issuer: a, jwksUri: 'hTPp\\\\blah'}]}", "jwtRules[0].jwksUri"),
        ("RequestAuthentication", "{jwtRules: [{issuer: a, outputClaimToHeaders: [null]}]}", "outputClaimToHeaders[0]"),
        ("RequestAuthentication", "{targetRef: {kind: Serv_ice, name: a}}", "spec.targetRef.kind"),
        ("RequestAuthentication", "{targetRef: {group: __, kind: Service, name: a}}", "spec.targetRef"),
        ("RequestAuthentication", "{targetRef: {kind: Service}}", "spec.targetRef.name"),
        ("AuthorizationPolicy", "{action: PERMIT}", "spec.action"),
        ("AuthorizationPolicy", "{rules: [null]}", "spec.rules[0]"),
        ("AuthorizationPolicy", "{rules: [{from: [null]}]}", "spec.rules[0].from[0]"),
        ("AuthorizationPolicy", "{rules: [{to: [{operation: null}]}]}", "spec.rules[0].to[0]"),
        ("AuthorizationPolicy", "{rules: [{to: [{operation: {ports: [80]}}]}]}", "operation.ports[0]"),
        (
            "AuthorizationPolicy",
            "{rules: [{from: [{source: {serviceAccounts: [a/b], principals: [a]}}]}]}",
            "source.serviceAccounts",
        ),
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
        (
            "PeerAuthentication",
            "{selector: {matchLabels: {a: b}}, mtls: {mode: PERMISSIVE}, portLevelMtls: {80: {mode: STRICT}}}",
        ),
        ("PeerAuthentication", "{selector: {}}"),
        ("RequestAuthentication", "{jwtRules: [{issuer: a, jwksUri: 'https://a.com/b', timeout: 5s}]}"),
        ("RequestAuthentication", "{jwtRules: [{issuer: a}]}"),
        ("AuthorizationPolicy", "{}"),
        (
            "AuthorizationPolicy",
            "{rules: [{from: [{source: {serviceAccounts: [b/sa, sa]}}, {source: {namespaces: [b]}}]}]}",
        ),
        ("AuthorizationPolicy", "{targetRef: {kind: Gateway, group: gateway.networking.k8s.io, name: a}, rules: [{}]}"),
    ],
)
def test_what_istio_takes_is_valid(kind: str, spec: str) -> None:
    assert errors(kind, f"spec: {spec}") == []
