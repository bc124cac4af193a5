"""WorkloadEntry and WorkloadGroup: each rule that Istio checks, kept and broken."""

from __future__ import annotations

from typing import Any

import pytest

from tulle.model.resources.workload_entry import WorkloadEntry, WorkloadGroup
from tulle.sources.validation import workload_entry

SOUND = {
    "all of it": "{address: 1.2.3.4, labels: {app: app}, ports: {http: 1}, weight: 2, locality: a/b/c}",
    "IPv6": "{address: '2001:db8::1'}",
    "a name": "{address: vm1.corp.net, ports: {'7777': 7777}}",
    "a socket": "{address: 'unix:///run/app.sock'}",
    "an abstract socket": "{address: 'unix://@app'}",
}

FAULTY = {
    "no address": ("{}", "address"),
    "an address with a port": ("{address: 'vm1.corp.net:9443'}", "address"),
    "a directory": ("{address: 'unix:///dir/'}", "address"),
    "a relative socket": ("{address: 'unix://relative'}", "address"),
    "a socket's ports": ("{address: 'unix://@app', ports: {http: 80}}", "ports"),
    "a port beyond all": ("{address: 1.1.1.1, ports: {http: 99999}}", "ports.http"),
    "a port's name that is none": ("{address: 1.1.1.1, ports: {'@': 80}}", "ports.@"),
    "a port's name of 63": (f"{{address: 1.1.1.1, ports: {{{'a' * 63}: 80}}}}", f"ports.{'a' * 63}"),
    "a label that is none": ("{address: 1.1.1.1, labels: {app: '~'}}", "labels.app"),
    "a label's key that is none": ("{address: 1.1.1.1, labels: {a/b/c: x}}", "labels.a/b/c"),
}

SOUND_GROUPS = {
    "an empty template": "{template: {}}",
    "a full one": "{metadata: {labels: {foo: bar}}, template: {ports: {http: 1}, weight: 2}}",
}

FAULTY_GROUPS = {
    "no template": ("{}", "template"),
    "a label that is none": ("{template: {}, metadata: {labels: {.: '~'}}}", "metadata.labels.."),
    "a port beyond all": ("{template: {ports: {http: 99999}}}", "template.ports.http"),
    "no way to probe": ("{template: {}, probe: {}}", "probe"),
    "two ways to probe": ("{template: {}, probe: {httpGet: {port: 1}, tcpSocket: {port: 1}}}", "probe.tcpSocket"),
    "HTTP of no port": ("{template: {}, probe: {httpGet: {}}}", "probe.httpGet.port"),
    "HTTP in small letters": ("{template: {}, probe: {httpGet: {port: 1, scheme: https}}}", "probe.httpGet.scheme"),
    "a header of stars": (
        "{template: {}, probe: {httpGet: {port: 80, httpHeaders: [{name: '**'}]}}}",
        "probe.httpGet.httpHeaders[0].name",
    ),
    "TCP of no port": ("{template: {}, probe: {tcpSocket: {port: 65536}}}", "probe.tcpSocket.port"),
    "gRPC of no port": ("{template: {}, probe: {grpc: {}}}", "probe.grpc.port"),
    "no command": ("{template: {}, probe: {exec: {}}}", "probe.exec.command"),
    "less than never": ("{template: {}, probe: {periodSeconds: -1, exec: {command: [a]}}}", "probe.periodSeconds"),
}


@pytest.mark.parametrize("text", SOUND.values(), ids=SOUND)
def test_an_entry_that_istio_takes_has_no_problem(judge: Any, text: str) -> None:
    assert judge(workload_entry.check_entry, WorkloadEntry, text).problems == []


@pytest.mark.parametrize(("text", "path"), FAULTY.values(), ids=FAULTY)
def test_an_entry_that_istio_refuses_is_wrong_at_its_field(judge: Any, text: str, path: str) -> None:
    assert list(judge(workload_entry.check_entry, WorkloadEntry, text).errors) == [f"spec.{path}"]


def test_an_address_of_one_machines_interface_is_unsupported(judge: Any) -> None:
    verdict = judge(workload_entry.check_entry, WorkloadEntry, "address: fe80::1%eth0")
    assert (list(verdict.unsupported), verdict.errors) == (["spec.address"], {})
    assert "leave `%eth0` out" in verdict.unsupported["spec.address"]


def test_an_entry_without_an_address_is_unsupported_though_its_network_is_known(judge: Any) -> None:
    verdict = judge(workload_entry.check_entry, WorkloadEntry, "{network: west}")
    assert list(verdict.unsupported) == list(verdict.warnings) == ["spec.address"]
    assert verdict.errors == {}


def test_what_wants_a_sidecar_or_another_network_is_not_passed_over(judge: Any) -> None:
    account = judge(workload_entry.check_entry, WorkloadEntry, "{address: 1.1.1.1, serviceAccount: sa}")
    assert list(account.warnings) == ["spec.serviceAccount"]
    text = "{address: 1.1.1.1, network: west, labels: {security.istio.io/tlsMode: istio}}"
    assert list(judge(workload_entry.check_entry, WorkloadEntry, text).unsupported) == [
        "spec.labels.security.istio.io/tlsMode",
        "spec.network",
    ]


@pytest.mark.parametrize("text", SOUND_GROUPS.values(), ids=SOUND_GROUPS)
def test_a_group_that_istio_takes_has_no_problem(judge: Any, text: str) -> None:
    assert judge(workload_entry.check_group, WorkloadGroup, text).problems == []


@pytest.mark.parametrize(("text", "path"), FAULTY_GROUPS.values(), ids=FAULTY_GROUPS)
def test_a_group_that_istio_refuses_is_wrong_at_its_field(judge: Any, text: str, path: str) -> None:
    assert list(judge(workload_entry.check_group, WorkloadGroup, text).errors) == [f"spec.{path}"]


@pytest.mark.parametrize(
    "probe", ["httpGet: {port: 5}", "tcpSocket: {port: 5}", "exec: {command: [a, b]}", "grpc: {port: 5}"]
)
def test_a_probe_is_valid_and_unsupported(judge: Any, probe: str) -> None:
    verdict = judge(workload_entry.check_group, WorkloadGroup, f"{{template: {{}}, probe: {{{probe}}}}}")
    assert (list(verdict.unsupported), verdict.errors) == (["spec.probe"], {})
