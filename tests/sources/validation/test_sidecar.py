"""Sidecar: each rule that Istio checks, with a document that keeps it and one that breaks it."""

from __future__ import annotations

from typing import Any

import pytest

from tulle.model.resources.sidecar import Sidecar
from tulle.sources.validation import sidecar


def egress(*hosts: str) -> str:
    return f"{{egress: [{{hosts: {list(hosts)}}}]}}"


def ingress(text: str, port: str = "{number: 90, protocol: HTTP, name: foo}") -> str:
    return f"{{ingress: [{{port: {port}, {text}}}]}}"


SOUND = {
    "everything": egress("*/*"),
    "this namespace": egress("./*"),
    "one host of this namespace": egress("./foo.com"),
    "nothing": egress("~/*"),
    "a host anywhere and one there": egress("*/b.com", "test/a.com"),
    "a policy alone": "{outboundTrafficPolicy: {mode: ALLOW_ANY}}",
    "a pool alone": "{inboundConnectionPool: {http: {http1MaxPendingRequests: 1024}}}",
    "some workloads": "{workloadSelector: {labels: {app: web}}, egress: [{hosts: ['*/*']}]}",
}

FAULTY = {
    "nothing said": ("{}", ""),
    "only whose": ("{workloadSelector: {labels: {app: web}}}", ""),
    "an empty pool": ("{inboundConnectionPool: {}}", ".inboundConnectionPool"),
    "no hosts": ("{egress: [{hosts: []}]}", ".egress[0].hosts"),
    "no namespace": (egress("*"), ".egress[0].hosts[0]"),
    "neither": (egress("/"), ".egress[0].hosts[0]"),
    "a short name": (egress("./reviews"), ".egress[0].hosts[0]"),
    "a namespace of dots": (egress("a.b/c.com"), ".egress[0].hosts[0]"),
    "half a label": (egress("test/*a.com"), ".egress[0].hosts[0]"),
    "a star in a selector": (
        "{workloadSelector: {labels: {app: '*'}}, egress: [{hosts: ['*/*']}]}",
        ".workloadSelector.labels.app",
    ),
    "two for all ports": ("{egress: [{hosts: ['*/foo.com']}, {hosts: ['ns1/bar.com']}]}", ".egress[0]"),
    "one for all ports first": (
        "{egress: [{hosts: ['*/foo.com']}, {port: {number: 80}, hosts: ['ns1/bar.com']}]}",
        ".egress[0]",
    ),
    "a port beyond all": ("{egress: [{port: {number: 1000000}, hosts: ['*/*']}]}", ".egress[0].port.number"),
    "no protocol": ("{egress: [{port: {number: 80, protocol: http1}, hosts: ['*/*']}]}", ".egress[0].port.protocol"),
    "a target": ("{egress: [{port: {number: 80, targetPort: 81}, hosts: ['*/*']}]}", ".egress[0].port.targetPort"),
    "bound to no address": ("{egress: [{port: {number: 80}, bind: foo, hosts: ['*/*']}]}", ".egress[0].bind"),
    "bound to no socket": (
        "{egress: [{port: {number: 0}, bind: 'foo:///a', hosts: ['*/*']}]}",
        ".egress[0].port.number",
    ),
    "a socket that is captured": (
        "{egress: [{port: {number: 0}, bind: 'unix:///a', captureMode: IPTABLES, hosts: ['*/*']}]}",
        ".egress[0].captureMode",
    ),
    "a socket twice": (
        "{egress: [{port: {}, bind: 'unix:///a', hosts: ['*/*']}, {port: {}, bind: 'unix:///a', hosts: ['*/*']}]}",
        ".egress[1].bind",
    ),
    "a port twice": (
        "{egress: [{port: {number: 80}, hosts: ['*/*']}, {port: {number: 80}, hosts: ['*/*']}]}",
        ".egress[1].port",
    ),
    "an egress proxy for known hosts": (
        "{outboundTrafficPolicy: {egressProxy: {host: foo.bar, subset: shiny, port: {number: 5000}}}}",
        ".outboundTrafficPolicy.egressProxy",
    ),
    "an egress proxy of no name": (
        "{outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: 'foobar*123', port: {number: 5000}}}}",
        ".outboundTrafficPolicy.egressProxy.host",
    ),
    "an egress proxy of no port": (
        "{outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: foo.bar}}}",
        ".outboundTrafficPolicy.egressProxy.port",
    ),
    "ingress of no port": ("{ingress: [{defaultEndpoint: '127.0.0.1:110'}]}", ".ingress[0].port"),
    "ingress twice": (
        "{ingress: [{port: {number: 90}}, {port: {number: 90}}]}",
        ".ingress[1].port",
    ),
    "ingress to a socket": (
        ingress("bind: 'unix:///a'", "{number: 90}"),
        ".ingress[0].bind",
    ),
    "ingress to elsewhere": (ingress("defaultEndpoint: '1.1.1.1:90'"), ".ingress[0].defaultEndpoint"),
    "ingress to elsewhere by IPv6": (ingress("defaultEndpoint: '[1:1:1:1:1:1:1:1]:90'"), ".ingress[0].defaultEndpoint"),
    "ingress to no port": (ingress("defaultEndpoint: '127.0.0.1:hi'"), ".ingress[0].defaultEndpoint"),
    "ingress to a directory": (ingress("defaultEndpoint: 'unix:///'"), ".ingress[0].defaultEndpoint"),
    "ingress by the mesh's TLS": (ingress("tls: {mode: ISTIO_MUTUAL}"), ".ingress[0].tls.mode"),
    "ingress by a gateway's TLS": (ingress("tls: {mode: AUTO_PASSTHROUGH}"), ".ingress[0].tls.mode"),
    "ingress with a gateway's redirect": (
        ingress("tls: {mode: PASSTHROUGH, httpsRedirect: true}"),
        ".ingress[0].tls.httpsRedirect",
    ),
    "ingress with a gateway's credentials": (
        ingress("tls: {mode: PASSTHROUGH, credentialNames: [a]}"),
        ".ingress[0].tls.credentialNames",
    ),
    "ingress with a gateway's certificates": (
        ingress("tls: {mode: PASSTHROUGH, tlsCertificates: [{serverCertificate: /a}]}"),
        ".ingress[0].tls.tlsCertificates",
    ),
    "ingress without a key": (
        ingress("tls: {mode: SIMPLE, serverCertificate: /c.pem}"),
        ".ingress[0].tls.privateKey",
    ),
    "ingress of mutual TLS without a CA": (
        ingress("tls: {mode: MUTUAL, serverCertificate: /c.pem, privateKey: /k.pem}"),
        ".ingress[0].tls.caCertificates",
    ),
    "ingress with an empty pool": (ingress("connectionPool: {}"), ".ingress[0].connectionPool"),
}

WARNED = {
    "a selector of everything": ("{workloadSelector: {}, egress: [{hosts: ['*/*']}]}", ".workloadSelector.labels"),
    "everything and more": (egress("*/*", "test/a.com"), ".egress[0].hosts"),
    "a host of a namespace that is there": (egress("test/*", "test/a.com"), ".egress[0].hosts[1]"),
    "this namespace by two names": (egress("./*", "bar/a.com"), ".egress[0].hosts[1]"),
    "HTTP's limits of a TCP port": (
        ingress("connectionPool: {http: {maxRetries: 1}}", "{number: 90, protocol: TCP}"),
        ".ingress[0].connectionPool.http",
    ),
}

UNSUPPORTED = {
    "ingress": (ingress("defaultEndpoint: '[::1]:9999'"), {".ingress"}),
    "a port": ("{egress: [{port: {number: 80}, hosts: ['*/*']}]}", {".egress[0].port"}),
    "a socket": (
        "{egress: [{port: {}, bind: 'unix:///@foo/bar', captureMode: NONE, hosts: ['*/*']}]}",
        {".egress[0].port", ".egress[0].bind", ".egress[0].captureMode"},
    ),
    "an egress proxy": (
        "{outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: foo.bar, port: {number: 5000}}}}",
        {".outboundTrafficPolicy.egressProxy"},
    ),
}


@pytest.mark.parametrize("text", SOUND.values(), ids=SOUND)
def test_a_sidecar_that_istio_takes_has_no_problem(judge: Any, text: str) -> None:
    assert judge(sidecar.check, Sidecar, text, "bar").problems == []


@pytest.mark.parametrize(("text", "path"), FAULTY.values(), ids=FAULTY)
def test_a_sidecar_that_istio_refuses_is_wrong_at_its_field(judge: Any, text: str, path: str) -> None:
    assert list(judge(sidecar.check, Sidecar, text, "bar").errors) == [f"spec{path}"]


@pytest.mark.parametrize(("text", "path"), WARNED.values(), ids=WARNED)
def test_a_sidecar_that_does_less_than_it_says_is_warned_of(judge: Any, text: str, path: str) -> None:
    verdict = judge(sidecar.check, Sidecar, text, "bar")
    assert (list(verdict.warnings), verdict.errors) == ([f"spec{path}"], {})


@pytest.mark.parametrize(("text", "paths"), UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_what_tulle_lacks_is_valid_and_unsupported(judge: Any, text: str, paths: set[str]) -> None:
    verdict = judge(sidecar.check, Sidecar, text, "bar")
    assert (set(verdict.unsupported), verdict.errors) == ({f"spec{path}" for path in paths}, {})
