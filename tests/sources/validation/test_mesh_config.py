"""MeshConfig and its extension providers: each rule that Istio checks, kept and broken."""

from __future__ import annotations

from typing import Any

import pytest

from tulle.envoy_api.messages import message
from tulle.model.resources.mesh_config import MeshConfig
from tulle.sources.validation import extension_provider, mesh_config


def http(text: str) -> str:
    return f"{{extensionProviders: [{{name: a, envoyExtAuthzHttp: {{{text}}}}}]}}"


SOUND = {
    "nothing": "{}",
    "what there is": "{outboundTrafficPolicy: {mode: ALLOW_ANY}, rootNamespace: istio-system, trustDomain: cluster.local}",
    "times": "{connectTimeout: 1h, protocolDetectionTimeout: 0s, dnsRefreshRate: 60s, tcpKeepalive: {time: 1s}}",
    "aliases": "{trustDomainAliases: [old.example.com, older]}",
    "mutual TLS wherever it can be": "{enableAutoMtls: true}",
    "failover": "{localityLbSetting: {failover: [{from: us, to: eu}]}}",
    "limits": "{defaultTrafficPolicy: {connectionPool: {tcp: {maxConnections: 9}}, outlierDetection: {}}}",
    "a service that is asked": http(
        "service: authz.default.svc.cluster.local, port: 8000, statusOnError: '403', pathPrefix: /a"
    ),
    "a service of a namespace": http("service: bar/istio.io, port: 1"),
    "an address that is asked": http("service: '2001:1::1', port: 1"),
    "one that is asked by gRPC": "{extensionProviders: [{name: a, envoyExtAuthzGrpc: {service: 127.0.0.1, port: 9000}}]}",
}

FAULTY = {
    "a trust domain that is none": ("{trustDomain: a_b}", "trustDomain"),
    "an alias that is none": ("{trustDomainAliases: [good.com, '']}", "trustDomainAliases[1]"),
    "a connection's time beyond an hour": ("{connectTimeout: 61m}", "connectTimeout"),
    "a connection without time": ("{connectTimeout: 0s}", "connectTimeout"),
    "sniffing finely": ("{protocolDetectionTimeout: 1.5us}", "protocolDetectionTimeout"),
    "a rate without a unit": ("{dnsRefreshRate: '60'}", "dnsRefreshRate"),
    "failover to itself": ("{localityLbSetting: {failover: [{from: us, to: us}]}}", "localityLbSetting.failover[0]"),
    "an empty pool": ("{defaultTrafficPolicy: {connectionPool: {}}}", "defaultTrafficPolicy.connectionPool"),
    "a provider of two kinds": (
        "{extensionProviders: [{name: a, envoyExtAuthzGrpc: {service: a.b, port: 1},"
        " envoyExtAuthzHttp: {service: a.b, port: 1}}]}",
        "extensionProviders[0].envoyExtAuthzGrpc",
    ),
}

UNFIT_PROVIDERS = {
    "a nameless provider": (
        "{extensionProviders: [{envoyExtAuthzGrpc: {service: a.b, port: 1}}]}",
        "extensionProviders[0].name",
    ),
    "two providers of a name": (
        "{extensionProviders: [{name: a, envoyExtAuthzGrpc: {service: a.b, port: 1}},"
        " {name: a, envoyExtAuthzGrpc: {service: a.b, port: 1}}]}",
        "extensionProviders[1].name",
    ),
    "a provider of nothing": ("{extensionProviders: [{name: a}]}", "extensionProviders[0]"),
    "no service": (http("port: 1"), "extensionProviders[0].envoyExtAuthzHttp.service"),
    "no port": (http("service: a.b"), "extensionProviders[0].envoyExtAuthzHttp.port"),
    "a port in the service": (http("service: 'a.b:80', port: 1"), "extensionProviders[0].envoyExtAuthzHttp.service"),
    "two namespaces": (http("service: a/b/c.d, port: 1"), "extensionProviders[0].envoyExtAuthzHttp.service"),
    "a status in words": (
        http("service: a.b, port: 1, statusOnError: Forbidden"),
        "extensionProviders[0].envoyExtAuthzHttp.statusOnError",
    ),
    "a status that Envoy lacks": (
        http("service: a.b, port: 1, statusOnError: '999'"),
        "extensionProviders[0].envoyExtAuthzHttp.statusOnError",
    ),
    "a relative path": (
        http("service: a.b, port: 1, pathPrefix: check"),
        "extensionProviders[0].envoyExtAuthzHttp.pathPrefix",
    ),
    "the status 0, which Envoy does not send": (
        http("service: a.b, port: 1, statusOnError: '0'"),
        "extensionProviders[0].envoyExtAuthzHttp.statusOnError",
    ),
    "a body of no bytes": (
        http("service: a.b, port: 1, includeRequestBodyInCheck: {allowPartialMessage: true}"),
        "extensionProviders[0].envoyExtAuthzHttp.includeRequestBodyInCheck.maxRequestBytes",
    ),
    "a body of no bytes by gRPC": (
        "{extensionProviders: [{name: a, envoyExtAuthzGrpc: {service: a.b, port: 1, includeRequestBodyInCheck: {}}}]}",
        "extensionProviders[0].envoyExtAuthzGrpc.includeRequestBodyInCheck.maxRequestBytes",
    ),
    "a header of two lines": (
        http('service: a.b, port: 1, includeAdditionalHeadersInCheck: {a: "b\\nc"}'),
        "extensionProviders[0].envoyExtAuthzHttp.includeAdditionalHeadersInCheck",
    ),
    "a header's name of two lines": (
        http('service: a.b, port: 1, headersToUpstreamOnAllow: ["b\\nc"]'),
        "extensionProviders[0].envoyExtAuthzHttp.headersToUpstreamOnAllow",
    ),
    "a broken path": (
        http("service: a.b, port: 1, pathPrefix: /check%ZZ"),
        "extensionProviders[0].envoyExtAuthzHttp.pathPrefix",
    ),
}


@pytest.mark.parametrize("text", SOUND.values(), ids=SOUND)
def test_a_config_that_istio_takes_has_no_problem(judge: Any, text: str) -> None:
    assert judge(mesh_config.check, MeshConfig, text).problems == []


@pytest.mark.parametrize(("text", "path"), FAULTY.values(), ids=FAULTY)
def test_a_config_that_istio_refuses_is_wrong_at_its_field(judge: Any, text: str, path: str) -> None:
    assert list(judge(mesh_config.check, MeshConfig, text).errors) == [f"spec.{path}"]


@pytest.mark.parametrize(("text", "path"), UNFIT_PROVIDERS.values(), ids=UNFIT_PROVIDERS)
def test_a_provider_that_istio_only_logs_as_wrong_is_valid_and_unsupported(judge: Any, text: str, path: str) -> None:
    verdict = judge(mesh_config.check, MeshConfig, text)
    assert (list(verdict.unsupported), verdict.errors) == ([f"spec.{path}"], {})


def test_a_time_that_envoy_would_refuse_is_valid_and_unsupported(judge: Any) -> None:
    verdict = judge(mesh_config.check, MeshConfig, "{dnsRefreshRate: 0s, tcpKeepalive: {time: 1us}}")
    assert (list(verdict.unsupported), verdict.errors) == (["spec.dnsRefreshRate", "spec.tcpKeepalive.time"], {})


def test_another_trust_domain_is_valid_and_unsupported(judge: Any) -> None:
    verdict = judge(mesh_config.check, MeshConfig, "{trustDomain: example.com}")
    assert (list(verdict.unsupported), verdict.errors) == (["spec.trustDomain"], {})


def test_no_automatic_mutual_tls_is_valid_and_unsupported(judge: Any) -> None:
    verdict = judge(mesh_config.check, MeshConfig, "{enableAutoMtls: false}")
    assert (list(verdict.unsupported), verdict.errors) == (["spec.enableAutoMtls"], {})


def test_a_namespace_that_is_none_is_warned_of(judge: Any) -> None:
    verdict = judge(mesh_config.check, MeshConfig, "{rootNamespace: a/b, defaultServiceExportTo: [., a_b]}")
    assert (list(verdict.warnings), verdict.errors) == (["spec.defaultServiceExportTo[1]", "spec.rootNamespace"], {})


def test_the_statuses_are_those_that_envoy_knows() -> None:
    known = message("envoy.type.v3.HttpStatus").DESCRIPTOR.fields_by_name["code"].enum_type.values_by_number
    assert set(known) == extension_provider.STATUSES
