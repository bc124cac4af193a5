"""DestinationRule: each rule that Istio checks, with a document that keeps it and one that breaks it."""

from __future__ import annotations

from typing import Any

import pytest

from tulle.model.resources.destination_rule import DestinationRule
from tulle.sources.validation import destination_rule


def rule(policy: str) -> str:
    return f"{{host: reviews, trafficPolicy: {policy}}}"


def balancer(text: str, beside: str = "") -> str:
    return rule(f"{{loadBalancer: {text}{beside}}}")


def locality(text: str) -> str:
    return balancer(f"{{localityLbSetting: {text}}}", ", outlierDetection: {}")


SOUND = {
    "a short host": "{host: reviews}",
    "every host of a domain": "{host: '*.example.com'}",
    "a name with its final dot": "{host: istio.io.}",
    "two subsets": "{host: reviews, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: ''}}]}",
    "for one namespace and another": "{host: reviews, exportTo: [., shop]}",
    "for everybody": "{host: reviews, exportTo: ['*']}",
    "for one's own clients": "{host: reviews, exportTo: [.], workloadSelector: {matchLabels: {app: web}}}",
    "a retry budget alone": rule("{retryBudget: {percent: 20, budgetInterval: 10s}}"),
    "a PROXY header alone": rule("{proxyProtocol: {version: V2}}"),
    "no idle timeout": rule("{connectionPool: {tcp: {idleTimeout: 0s}}}"),
    "limits": rule(
        "{connectionPool: {tcp: {maxConnections: 7, connectTimeout: 2s}, http: {maxRetries: 4, idleTimeout: 30s}}}"
    ),
    "pings": rule("{connectionPool: {http: {http2KeepAlive: {interval: 15s, timeout: 5s}}}}"),
    "outlier detection": rule("{outlierDetection: {interval: 2s, baseEjectionTime: 2s, maxEjectionPercent: 50}}"),
    "its own failures told apart": rule(
        "{outlierDetection: {splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 3}}"
    ),
    "a cookie of the session": balancer("{consistentHash: {httpCookie: {name: user, ttl: 0s}}}"),
    "a table": balancer("{consistentHash: {useSourceIp: true, maglev: {tableSize: 65537}}}"),
    "a ring": balancer("{consistentHash: {httpHeaderName: x-user, ringHash: {minimumRingSize: 1024}}}"),
    "warming up": balancer("{simple: ROUND_ROBIN, warmup: {duration: 300s, minimumPercent: 5, aggression: 5}}"),
    "shares by zone": locality(
        "{distribute: [{from: us/a/*, to: {us/a/*: 80, us/b/*: 20}}, {from: us/b/*, to: {us/b/*: 100}}]}"
    ),
    "the rest after the particular": locality(
        "{distribute: [{from: us/a, to: {us/a: 100}}, {from: '*', to: {'*': 100}}]}"
    ),
    "failover": locality("{failover: [{from: us, to: eu}], failoverPriority: [topology.istio.io/network]}"),
    "TLS with the system's CAs": rule("{tls: {mode: SIMPLE}}"),
    "TLS with names": rule("{tls: {mode: SIMPLE, caCertificates: /ca.pem, subjectAltNames: [reviews]}}"),
    "TLS unverified": rule("{tls: {mode: SIMPLE, insecureSkipVerify: true}}"),
    "mutual TLS": rule("{tls: {mode: MUTUAL, clientCertificate: /c.pem, privateKey: /k.pem, caCertificates: /ca.pem}}"),
    "mutual TLS unverified": rule(
        "{tls: {mode: MUTUAL, clientCertificate: /c.pem, privateKey: /k.pem, insecureSkipVerify: true}}"
    ),
    "a policy of a port": rule("{portLevelSettings: [{port: {number: 80}, tls: {mode: DISABLE}}]}"),
    "a tunnel": rule("{tunnel: {protocol: POST, targetHost: 10.0.0.1, targetPort: 443}}"),
}

FAULTY = {
    "no host": ("{}", "host"),
    "a host of underscores": ("{host: re_views}", "host"),
    "a star within": ("{host: foo.*.com}", "host"),
    "a number for a top level": ("{host: foo.80}", "host"),
    "a nameless subset": ("{host: r, subsets: [{labels: {version: v1}}]}", "subsets[0].name"),
    "a dotted subset": ("{host: r, subsets: [{name: v1.2}]}", "subsets[0].name"),
    "two subsets of a name": ("{host: r, subsets: [{name: v1}, {name: v1}]}", "subsets[1].name"),
    "a label that is none": ("{host: r, subsets: [{name: v1, labels: {version: -1-}}]}", "subsets[0].labels.version"),
    "a subset's empty pool": (
        "{host: r, subsets: [{name: v1, trafficPolicy: {connectionPool: {}}}]}",
        "subsets[0].trafficPolicy.connectionPool",
    ),
    "oneself twice": ("{host: r, exportTo: [., default]}", "exportTo[1]"),
    "nobody": ("{host: r, exportTo: ['~']}", "exportTo[0]"),
    "everybody and somebody": ("{host: r, exportTo: ['*', shop]}", "exportTo"),
    "for clients elsewhere": ("{host: r, exportTo: [shop], workloadSelector: {matchLabels: {a: b}}}", "exportTo"),
    "for clients here and elsewhere": (
        "{host: r, exportTo: [., shop], workloadSelector: {matchLabels: {a: b}}}",
        "exportTo",
    ),
    "a star in a selector": (
        "{host: r, workloadSelector: {matchLabels: {app: web-*}}}",
        "workloadSelector.matchLabels.app",
    ),
    "an empty policy": (rule("{}"), "trafficPolicy"),
    "a tunnel and a PROXY header": (
        rule("{tunnel: {targetHost: a.b, targetPort: 1}, proxyProtocol: {}}"),
        "trafficPolicy.proxyProtocol",
    ),
    "a tunnel of another kind": (
        rule("{tunnel: {protocol: GET, targetHost: a.b, targetPort: 1}}"),
        "trafficPolicy.tunnel.protocol",
    ),
    "a tunnel to nowhere": (rule("{tunnel: {targetPort: 1}}"), "trafficPolicy.tunnel.targetHost"),
    "a tunnel to no port": (rule("{tunnel: {targetHost: a.b}}"), "trafficPolicy.tunnel.targetPort"),
    "a policy of no port": (rule("{portLevelSettings: [{tls: {}}]}"), "trafficPolicy.portLevelSettings[0].port"),
    "no policy of a port": (rule("{portLevelSettings: [{port: {number: 80}}]}"), "trafficPolicy.portLevelSettings[0]"),
    "too many retries": (rule("{retryBudget: {percent: 101}}"), "trafficPolicy.retryBudget.percent"),
    "an empty pool": (rule("{connectionPool: {}}"), "trafficPolicy.connectionPool"),
    "fewer than no connections": (
        rule("{connectionPool: {tcp: {maxConnections: -1}}}"),
        "trafficPolicy.connectionPool.tcp.maxConnections",
    ),
    "less than a millisecond": (
        rule("{connectionPool: {tcp: {maxConnectionDuration: 500ns}}}"),
        "trafficPolicy.connectionPool.tcp.maxConnectionDuration",
    ),
    "a fraction of a millisecond": (
        rule("{connectionPool: {tcp: {connectTimeout: 1.0000005s}}}"),
        "trafficPolicy.connectionPool.tcp.connectTimeout",
    ),
    "a time without a unit": (
        rule("{connectionPool: {tcp: {tcpKeepalive: {time: '10'}}}}"),
        "trafficPolicy.connectionPool.tcp.tcpKeepalive.time",
    ),
    "no idle time for HTTP": (
        rule("{connectionPool: {http: {idleTimeout: 0s}}}"),
        "trafficPolicy.connectionPool.http.idleTimeout",
    ),
    "upgraded and kept": (
        rule("{connectionPool: {http: {h2UpgradePolicy: UPGRADE, useClientProtocol: true}}}"),
        "trafficPolicy.connectionPool.http.useClientProtocol",
    ),
    "more than all ejected": (
        rule("{outlierDetection: {maxEjectionPercent: 105}}"),
        "trafficPolicy.outlierDetection.maxEjectionPercent",
    ),
    "less than none healthy": (
        rule("{outlierDetection: {minHealthPercent: -1}}"),
        "trafficPolicy.outlierDetection.minHealthPercent",
    ),
    "failures that are not told apart": (
        rule("{outlierDetection: {consecutiveLocalOriginFailures: 10}}"),
        "trafficPolicy.outlierDetection.consecutiveLocalOriginFailures",
    ),
    "a status that is none": (
        rule("{outlierDetection: {outlierDetectionHttpErrorCodes: [429, 42]}}"),
        "trafficPolicy.outlierDetection.outlierDetectionHttpErrorCodes[1]",
    ),
    "simple and hashed": (
        balancer("{simple: RANDOM, consistentHash: {useSourceIp: true}}"),
        "trafficPolicy.loadBalancer.consistentHash",
    ),
    "two keys": (
        balancer("{consistentHash: {useSourceIp: true, httpHeaderName: x}}"),
        "trafficPolicy.loadBalancer.consistentHash.useSourceIp",
    ),
    "a nameless cookie": (
        balancer("{consistentHash: {httpCookie: {ttl: 1s}}}"),
        "trafficPolicy.loadBalancer.consistentHash.httpCookie.name",
    ),
    "a table that is not prime": (
        balancer("{consistentHash: {useSourceIp: true, maglev: {tableSize: 1000}}}"),
        "trafficPolicy.loadBalancer.consistentHash.maglev.tableSize",
    ),
    "a table that is too large": (
        balancer("{consistentHash: {useSourceIp: true, maglev: {tableSize: 5000011}}}"),
        "trafficPolicy.loadBalancer.consistentHash.maglev.tableSize",
    ),
    "two sizes": (
        balancer("{consistentHash: {useSourceIp: true, minimumRingSize: 7, ringHash: {}}}"),
        "trafficPolicy.loadBalancer.consistentHash.minimumRingSize",
    ),
    "warming up without a time": (
        balancer("{warmup: {minimumPercent: 5}}"),
        "trafficPolicy.loadBalancer.warmup.duration",
    ),
    "warmed up from above": (
        balancer("{warmup: {duration: 1s, minimumPercent: 150}}"),
        "trafficPolicy.loadBalancer.warmup.minimumPercent",
    ),
    "warmed up too gently": (
        balancer("{warmup: {duration: 1s, aggression: 0.3}}"),
        "trafficPolicy.loadBalancer.warmup.aggression",
    ),
    "a client's certificate without its key": (
        rule("{tls: {mode: MUTUAL, clientCertificate: /c.pem}}"),
        "trafficPolicy.tls.privateKey",
    ),
    "a client's key without its certificate": (
        rule("{tls: {mode: MUTUAL, privateKey: /k.pem}}"),
        "trafficPolicy.tls.clientCertificate",
    ),
    "a credential and files": (
        rule("{tls: {mode: SIMPLE, credentialName: secret, caCertificates: /ca.pem}}"),
        "trafficPolicy.tls.caCertificates",
    ),
    "a CA that verifies nothing": (
        rule("{tls: {mode: SIMPLE, insecureSkipVerify: true, caCertificates: /ca.pem}}"),
        "trafficPolicy.tls.caCertificates",
    ),
    "a name that is not verified": (
        rule("{tls: {mode: SIMPLE, insecureSkipVerify: true, subjectAltNames: [a]}}"),
        "trafficPolicy.tls.subjectAltNames",
    ),
    "a credential that verifies nothing": (
        rule("{tls: {mode: SIMPLE, insecureSkipVerify: true, credentialName: secret}}"),
        "trafficPolicy.tls.credentialName",
    ),
}

_LOCALITY = "trafficPolicy.loadBalancer.localityLbSetting"
FAULTY_LOCALITIES = {
    "shares and failover": ("{distribute: [{from: a, to: {a: 100}}], failover: [{from: a, to: b}]}", "failover"),
    "ordered by region twice": (
        "{failover: [{from: a, to: b}], failoverPriority: [topology.kubernetes.io/region]}",
        "failoverPriority[0]",
    ),
    "less than all": ("{distribute: [{from: a, to: {a: 80, b: 10}}]}", "distribute[0].to"),
    "nothing to one": ("{distribute: [{from: a, to: {a: 100, b: 0}}]}", "distribute[0].to.b"),
    "two stars": ("{distribute: [{from: '*/zone/*', to: {a: 100}}]}", "distribute[0].from"),
    "a star at the front": ("{distribute: [{from: '*/zone', to: {a: 100}}]}", "distribute[0].from"),
    "an empty part": ("{distribute: [{from: a//c, to: {a: 100}}]}", "distribute[0].from"),
    "after everything": (
        "{distribute: [{from: '*', to: {a: 100}}, {from: a/b/c, to: {a: 100}}]}",
        "distribute[1].from",
    ),
    "within a region": ("{distribute: [{from: a, to: {a: 100}}, {from: a/b/c, to: {a: 100}}]}", "distribute[1].from"),
    "within a starred region": (
        "{distribute: [{from: a/*, to: {a: 100}}, {from: a/b/c, to: {a: 100}}]}",
        "distribute[1].from",
    ),
    "around a zone": ("{distribute: [{from: a/b, to: {a: 100}}, {from: a, to: {a: 100}}]}", "distribute[1].from"),
    "among the shares": ("{distribute: [{from: a, to: {a/b: 50, a/b/c: 50}}]}", "distribute[0].to.a/b/c"),
    "failing over to itself": ("{failover: [{from: a, to: a}]}", "failover[0]"),
    "failing over from a zone": ("{failover: [{from: a/b, to: c}]}", "failover[0].from"),
    "failing over to anywhere": ("{failover: [{from: a, to: '*'}]}", "failover[0].to"),
}

WARNED = {
    "a selector of everything": ("{host: r, workloadSelector: {}}", "workloadSelector.matchLabels"),
    "a deprecated count": (
        rule("{outlierDetection: {consecutiveErrors: 7}}"),
        "trafficPolicy.outlierDetection.consecutiveErrors",
    ),
    "a deprecated size": (
        balancer("{consistentHash: {useSourceIp: true, minimumRingSize: 7}}"),
        "trafficPolicy.loadBalancer.consistentHash.minimumRingSize",
    ),
    "no key": (balancer("{consistentHash: {}}"), "trafficPolicy.loadBalancer.consistentHash"),
    "failover that nothing triggers": (balancer("{localityLbSetting: {failover: [{from: a, to: b}]}}"), _LOCALITY),
    "warming up at random": (
        balancer("{simple: RANDOM, warmup: {duration: 1s}}"),
        "trafficPolicy.loadBalancer.warmup",
    ),
    "a file that is not read": (rule("{tls: {mode: ISTIO_MUTUAL, sni: a.b}}"), "trafficPolicy.tls.sni"),
    "a port's second policy": (
        rule("{portLevelSettings: [{port: {number: 80}, tls: {}}, {port: {number: 80}, tls: {}}]}"),
        "trafficPolicy.portLevelSettings[1].port",
    ),
}

UNSUPPORTED = {
    "a secret": (rule("{tls: {mode: SIMPLE, credentialName: secret}}"), "trafficPolicy.tls.credentialName"),
    "zones": (balancer("{zoneAwareLbSetting: {enabled: true}}"), "trafficPolicy.loadBalancer.zoneAwareLbSetting"),
    "a ring beyond Envoy's": (
        balancer("{consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 8388609}}}"),
        "trafficPolicy.loadBalancer.consistentHash.ringHash.minimumRingSize",
    ),
    "an old ring beyond Envoy's": (
        balancer("{consistentHash: {useSourceIp: true, minimumRingSize: 8388609}}"),
        "trafficPolicy.loadBalancer.consistentHash.minimumRingSize",
    ),
    "a key in a header that can't be": (
        balancer("{consistentHash: {httpHeaderName: x user}}"),
        "trafficPolicy.loadBalancer.consistentHash.httpHeaderName",
    ),
    "a cookie that can't be": (
        balancer("{consistentHash: {httpCookie: {name: a;b, ttl: 0s}}}"),
        "trafficPolicy.loadBalancer.consistentHash.httpCookie.name",
    ),
    "a cookie's path with a line break": (
        balancer('{consistentHash: {httpCookie: {name: a, path: "/\\n"}}}'),
        "trafficPolicy.loadBalancer.consistentHash.httpCookie.path",
    ),
    "a cookie's attribute with more than its value": (
        balancer("{consistentHash: {httpCookie: {name: a, attributes: [{name: SameSite, value: Lax; Secure}]}}}"),
        "trafficPolicy.loadBalancer.consistentHash.httpCookie.attributes[0].value",
    ),
}


@pytest.mark.parametrize("text", SOUND.values(), ids=SOUND)
def test_a_rule_that_istio_takes_has_no_problem(judge: Any, text: str) -> None:
    assert judge(destination_rule.check, DestinationRule, text).problems == []


@pytest.mark.parametrize(("text", "path"), FAULTY.values(), ids=FAULTY)
def test_a_rule_that_istio_refuses_is_wrong_at_its_field(judge: Any, text: str, path: str) -> None:
    assert list(judge(destination_rule.check, DestinationRule, text).errors) == [f"spec.{path}"]


@pytest.mark.parametrize(("text", "path"), FAULTY_LOCALITIES.values(), ids=FAULTY_LOCALITIES)
def test_localities_that_istio_refuses_are_wrong_at_their_field(judge: Any, text: str, path: str) -> None:
    assert list(judge(destination_rule.check, DestinationRule, locality(text)).errors) == [f"spec.{_LOCALITY}.{path}"]


@pytest.mark.parametrize(("text", "path"), WARNED.values(), ids=WARNED)
def test_a_rule_that_does_less_than_it_says_is_warned_of(judge: Any, text: str, path: str) -> None:
    verdict = judge(destination_rule.check, DestinationRule, text)
    assert (list(verdict.warnings), verdict.errors) == ([f"spec.{path}"], {})


@pytest.mark.parametrize(("text", "path"), UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_what_tulle_lacks_is_valid_and_unsupported(judge: Any, text: str, path: str) -> None:
    verdict = judge(destination_rule.check, DestinationRule, text)
    assert (list(verdict.unsupported), verdict.errors) == ([f"spec.{path}"], {})


def test_all_mistakes_are_told_at_once_and_name_the_value(judge: Any) -> None:
    verdict = judge(
        destination_rule.check, DestinationRule, "{host: '', exportTo: ['!'], trafficPolicy: {connectionPool: {}}}"
    )
    assert list(verdict.errors) == ["spec.exportTo[0]", "spec.host", "spec.trafficPolicy.connectionPool"]
    assert "`!`" in verdict.errors["spec.exportTo[0]"]
