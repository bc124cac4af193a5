"""ServiceEntry: each rule that Istio checks, with a document that keeps it and one that breaks it."""

from __future__ import annotations

from typing import Any

import pytest

from tulle.model.resources.service_entry import ServiceEntry
from tulle.sources.validation import service_entry


def entry(text: str) -> str:
    return f"{{hosts: [example.com], ports: [{{number: 80, name: http, protocol: HTTP}}], {text}}}"


SOUND = {
    "a host outside": entry("resolution: DNS"),
    "a short host": "{hosts: [foo, bar.com], resolution: DNS}",
    "a domain": "{hosts: ['*.example.com'], resolution: NONE}",
    "a domain by other names": "{hosts: ['*.a.com'], resolution: DNS, endpoints: [{address: x.a.com}, {address: 1.1.1.1}]}",
    "a domain that is looked up": "{hosts: ['*.a.com', '*'], resolution: DYNAMIC_DNS}",
    "endpoints": entry("resolution: STATIC, endpoints: [{address: 1.1.1.1, ports: {http: 8080}}, {address: '::1'}]"),
    "no endpoints yet": entry("resolution: STATIC"),
    "a socket": entry("resolution: STATIC, endpoints: [{address: 'unix:///run/app.sock'}]"),
    "workloads": entry("resolution: STATIC, workloadSelector: {labels: {app: a}}"),
    "workloads by name": entry("resolution: DNS, workloadSelector: {labels: {app: a}}"),
    "one name, connection by connection": entry("resolution: DNS_ROUND_ROBIN, endpoints: [{address: a.b.com}]"),
    "another port there": "{hosts: [a.com], resolution: DNS, ports: [{number: 80, name: a, protocol: http, targetPort: 81}]}",
    "another port, wherever": "{hosts: [a.com], ports: [{number: 80, name: a, protocol: HTTP, targetPort: 81}]}",
    "TCP that is given an address": "{hosts: [a.com], resolution: DNS, ports: [{number: 9000, name: tcp, protocol: TCP}]}",
    "hosts that TLS tells apart": "{hosts: [a.com, b.com], resolution: DNS, ports: [{number: 443, name: tls, protocol: TLS}]}",
    "for nobody": entry("resolution: DNS, exportTo: ['~']"),
    "no ports": "{hosts: [example.com]}",
}

FAULTY = {
    "no host": ("{}", "hosts"),
    "every host": ("{hosts: ['*']}", "hosts[0]"),
    "a host that is none": ("{hosts: ['-']}", "hosts[0]"),
    "a domain that can't be looked up": ("{hosts: ['*.a.com'], resolution: DNS}", "hosts[0]"),
    "a host that is not to be found out": ("{hosts: [a.com], resolution: DYNAMIC_DNS}", "hosts[0]"),
    "found out within the mesh": ("{hosts: ['*.a.com'], resolution: DYNAMIC_DNS, location: MESH_INTERNAL}", "location"),
    "an address that is none": (entry("resolution: STATIC, addresses: [10.1.2]"), "addresses[0]"),
    "a range that is none": (entry("resolution: STATIC, addresses: [1.2.3.4/99]"), "addresses[0]"),
    "a range for a name": (entry("resolution: DNS, addresses: [1.2.3.4/16]"), "addresses[0]"),
    "a port's name twice": (
        "{hosts: [a.com], ports: [{number: 1, name: a, protocol: HTTP}, {number: 2, name: a, protocol: HTTP}]}",
        "ports[1].name",
    ),
    "a port twice": (
        "{hosts: [a.com], ports: [{number: 1, name: a, protocol: HTTP}, {number: 1, name: b, protocol: HTTP}]}",
        "ports[1].number",
    ),
    "a nameless port": ("{hosts: [a.com], ports: [{number: 1, protocol: HTTP}]}", "ports[0].name"),
    "a port beyond all": ("{hosts: [a.com], ports: [{number: 99999, name: a, protocol: HTTP}]}", "ports[0].number"),
    "a target beyond all": (
        "{hosts: [a.com], resolution: DNS, ports: [{number: 1, name: a, protocol: HTTP, targetPort: 65536}]}",
        "ports[0].targetPort",
    ),
    "a protocol of its own": ("{hosts: [a.com], ports: [{number: 1, name: a, protocol: HTTP1}]}", "ports[0].protocol"),
    "endpoints of nowhere": (entry("endpoints: [{address: 1.1.1.1}]"), "endpoints"),
    "two names, connection by connection": (
        entry("resolution: DNS_ROUND_ROBIN, endpoints: [{address: a.com}, {address: b.com}]"),
        "endpoints",
    ),
    "workloads and endpoints": (
        entry("resolution: STATIC, workloadSelector: {labels: {a: b}}, endpoints: [{address: 1.1.1.1}]"),
        "workloadSelector",
    ),
    "a star in a selector": (
        entry("resolution: STATIC, workloadSelector: {labels: {a: '*'}}"),
        "workloadSelector.labels.a",
    ),
    "a selector's empty key": (
        entry("resolution: STATIC, workloadSelector: {labels: {'': b}}"),
        "workloadSelector.labels",
    ),
    "a name among addresses": (entry("resolution: STATIC, endpoints: [{address: a.com}]"), "endpoints[0].address"),
    "a star among names": (entry("resolution: DNS, endpoints: [{address: '*.a.com'}]"), "endpoints[0].address"),
    "a socket among names": (entry("resolution: DNS, endpoints: [{address: 'unix:///a'}]"), "endpoints[0].address"),
    "a relative socket": (entry("resolution: STATIC, endpoints: [{address: 'unix://./a'}]"), "endpoints[0].address"),
    "a socket's port": (
        entry("resolution: STATIC, endpoints: [{address: 'unix:///a', ports: {http: 80}}]"),
        "endpoints[0].ports",
    ),
    "a socket of two ports": (
        "{hosts: [a.com], resolution: STATIC, endpoints: [{address: 'unix:///a'}],"
        " ports: [{number: 1, name: a, protocol: HTTP}, {number: 2, name: b, protocol: HTTP}]}",
        "endpoints[0].address",
    ),
    "an endpoint's port that is not the entry's": (
        entry("resolution: STATIC, endpoints: [{address: 1.1.1.1, ports: {grpc: 80}}]"),
        "endpoints[0].ports.grpc",
    ),
    "an endpoint's port beyond all": (
        entry("resolution: DNS, endpoints: [{address: a.com, ports: {http: 65536}}]"),
        "endpoints[0].ports.http",
    ),
    "hosts that nothing tells apart": (
        "{hosts: [a.com, b.com], resolution: DNS, ports: [{number: 1, name: tcp, protocol: TCP}]}",
        "ports[0].protocol",
    ),
    "nobody and somebody": (entry("exportTo: ['~', shop]"), "exportTo"),
}

WARNED = {
    "half a label": ("{hosts: ['*x']}", "hosts[0]"),
    "a selector of everything": (entry("resolution: STATIC, workloadSelector: {}"), "workloadSelector.labels"),
    "workloads that nobody looks at": (entry("workloadSelector: {labels: {a: b}}"), "workloadSelector"),
    "TCP without an address": ("{hosts: [a.com], ports: [{number: 9000, name: tcp, protocol: TCP}]}", "ports[0]"),
    "any protocol without an address": ("{hosts: [a.com], ports: [{number: 9000, name: any}]}", "ports[0]"),
    "an address": (entry("resolution: STATIC, addresses: [10.1.2.3, '001:db8::']"), "addresses"),
    "a range": (entry("resolution: STATIC, addresses: [172.1.2.16/16]"), "addresses"),
    "endpoints that are not read": (
        "{hosts: ['*.a.com'], resolution: DYNAMIC_DNS, endpoints: [{address: a.com}]}",
        "endpoints",
    ),
}


@pytest.mark.parametrize("text", SOUND.values(), ids=SOUND)
def test_an_entry_that_istio_takes_has_no_problem(judge: Any, text: str) -> None:
    assert judge(service_entry.check, ServiceEntry, text).problems == []


@pytest.mark.parametrize(("text", "path"), FAULTY.values(), ids=FAULTY)
def test_an_entry_that_istio_refuses_is_wrong_at_its_field(judge: Any, text: str, path: str) -> None:
    assert list(judge(service_entry.check, ServiceEntry, text).errors) == [f"spec.{path}"]


@pytest.mark.parametrize(("text", "path"), WARNED.values(), ids=WARNED)
def test_an_entry_that_does_less_than_it_says_is_warned_of(judge: Any, text: str, path: str) -> None:
    verdict = judge(service_entry.check, ServiceEntry, text)
    assert (list(verdict.warnings), verdict.errors) == ([f"spec.{path}"], {})


def test_an_address_of_two_hosts_is_warned_of(judge: Any) -> None:
    text = "{hosts: [a.com, b.com], resolution: DNS, addresses: [10.1.1.1], ports: [{number: 443, name: s, protocol: HTTPS}]}"
    assert list(judge(service_entry.check, ServiceEntry, text).warnings) == ["spec.addresses", "spec.hosts"]


@pytest.mark.parametrize(
    ("port", "field"),
    [("protocol: TCP", "protocol"), ("protocol: HTTP, targetPort: 81", "targetPort")],
)
def test_what_a_wildcard_can_not_be_looked_up_by_is_unsupported(judge: Any, port: str, field: str) -> None:
    text = f"{{hosts: ['*.a.com'], resolution: DYNAMIC_DNS, ports: [{{number: 80, name: p, {port}}}]}}"
    verdict = judge(service_entry.check, ServiceEntry, text)
    assert (list(verdict.unsupported), verdict.errors) == ([f"spec.ports[0].{field}"], {})


@pytest.mark.parametrize("resolution", ["NONE", "DYNAMIC_DNS"])
@pytest.mark.parametrize("protocol", ["TLS", "HTTPS", "HTTP"])
def test_a_wildcard_is_looked_up_by_the_name_that_is_asked_for(judge: Any, resolution: str, protocol: str) -> None:
    """With NONE and port 443 it is Istio's sample for egress."""
    text = f"{{hosts: ['*.wikipedia.org'], resolution: {resolution}, ports: [{{number: 443, name: p, protocol: {protocol}}}]}}"
    verdict = judge(service_entry.check, ServiceEntry, text)
    assert (verdict.unsupported, verdict.errors, verdict.warnings) == ({}, {}, {})


def test_udp_is_valid_and_unsupported(judge: Any) -> None:
    verdict = judge(
        service_entry.check, ServiceEntry, "{hosts: [a.com], ports: [{number: 53, name: dns, protocol: UDP}]}"
    )
    assert (list(verdict.unsupported), verdict.errors) == (["spec.ports[0].protocol"], {})


def test_an_address_of_one_machines_interface_is_valid_and_unsupported(judge: Any) -> None:
    text = entry("resolution: STATIC, addresses: ['fe80::1%2'], endpoints: [{address: 'fe80::1%eth0'}]")
    verdict = judge(service_entry.check, ServiceEntry, text)
    assert (list(verdict.unsupported), verdict.errors) == (["spec.addresses[0]", "spec.endpoints[0].address"], {})


def test_an_endpoint_of_another_network_is_valid_and_unsupported(judge: Any) -> None:
    verdict = judge(service_entry.check, ServiceEntry, entry("resolution: STATIC, endpoints: [{network: west}]"))
    assert list(verdict.unsupported) == list(verdict.warnings) == ["spec.endpoints[0].address"]
    assert verdict.errors == {}
