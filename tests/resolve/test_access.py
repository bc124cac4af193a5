"""Which AuthorizationPolicies are for a port of a workload, and what is settled of them before any request."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from declared_mesh import instance
from golden import declared_in
from tulle.ir import access as ir
from tulle.ir.access import Access, Attribute, Condition, Value
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Protocol, ServicePort
from tulle.resolve.access import authorization
from tulle.resolve.access.values import principals, service_accounts, trust_domains
from tulle.resolve.inbound import inbound
from tulle.resolve.index import apply
from tulle.resolve.mesh import Mesh

REVIEWS = instance("reviews")


def policy(
    name: str, namespace: str = "default", annotations: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "annotations": annotations or {}}
    return {"kind": "AuthorizationPolicy", "metadata": metadata, "spec": spec}


def mesh(*documents: dict[str, Any]) -> Mesh:
    return apply(Mesh(), Snapshot(1, {REVIEWS.id: REVIEWS}, resources=declared_in(documents)))[0]


def access(*documents: dict[str, Any]) -> Access:
    door = inbound(mesh(*documents), REVIEWS, REVIEWS.workloads[0])
    assert door is not None
    return door.ports[0].access


def selected(*documents: dict[str, Any]) -> list[str]:
    return [found.source.removeprefix("AuthorizationPolicy ") for found in access(*documents).policies]


def test_a_policy_is_for_its_namespace_or_for_the_mesh_or_for_chosen_workloads() -> None:
    there = [
        policy("z-all"),
        policy("a-chosen", selector={"matchLabels": {"app": "reviews"}}),
        policy("others", selector={"matchLabels": {"app": "ratings"}}),
        policy("everywhere", "istio-system"),
        policy("everywhere-chosen", "istio-system", selector={"matchLabels": {"version": "v1"}}),
        policy("everywhere-others", "istio-system", selector={"matchLabels": {"version": "v2"}}),
        policy("elsewhere", "other"),
        policy("service", targetRefs=[{"kind": "Service", "name": "reviews"}]),
        policy("other-service", targetRefs=[{"kind": "Service", "name": "ratings"}]),
    ]
    assert selected(*there) == [
        *("default/a-chosen", "default/service", "default/z-all"),
        *("istio-system/everywhere", "istio-system/everywhere-chosen"),
    ]


def test_the_root_namespace_is_as_the_mesh_has_it() -> None:
    config = {"kind": "MeshConfig", "metadata": {"name": "mesh"}, "spec": {"rootNamespace": "root"}}
    assert selected(config, policy("a", "istio-system"), policy("b", "root")) == ["root/b"]


def test_a_dry_run_is_one_that_says_true() -> None:
    said = {"a": "true", "b": "True", "c": "1", "d": "false", "e": "yes"}
    there = [policy(name, annotations={"istio.io/dry-run": text}) for name, text in said.items()]
    assert [found.dry_run for found in access(*there, policy("f")).policies] == [True, True, True, False, False, False]


def test_a_port_is_that_of_the_program_else_that_of_the_service() -> None:
    ports = (ServicePort(80, 8080), ServicePort(8080, 9090), ServicePort(81, 81, Protocol.TCP))
    workload = replace(REVIEWS.workloads[0], ports=ports)
    policies = authorization.policies(mesh(policy("a")), workload)
    found = [authorization.access(policies, workload, port) for port in ports]
    # 8080 is the program's port behind 80, and so not the service's port 8080.
    assert [one.ports for one in found] == [("80", "8080"), ("9090",), ("81",)]
    assert [one.tcp for one in found] == [False, False, True]


def test_a_port_is_a_number_however_it_is_written() -> None:
    rule = {
        "to": [{"operation": {"ports": ["08080"], "notPorts": ["081"]}}],
        "when": [{"key": "destination.port", "values": ["080"]}],
    }
    (found,) = access(policy("a", action="DENY", rules=[rule])).policies
    (operation,), (when,) = found.rules[0].operations[0], found.rules[0].when
    assert [value.text for value in (*operation.values, *operation.but_not, *when.values)] == ["8080", "81", "80"]


def test_each_condition_says_where_it_stands() -> None:
    rule = {
        "from": [{"source": {"principals": ["a"]}}, {"source": {"notNamespaces": ["b"], "ipBlocks": ["10.0.0.1"]}}],
        "to": [{"operation": {"paths": ["/a/{*}"], "notPaths": ["/b*"], "notHosts": ["*.Example"]}}],
        "when": [
            {"key": "request.auth.claims[a][b]", "values": ["*"]},
            {"key": "request.headers[X-A]", "notValues": ["c"]},
        ],
    }
    (found,) = access(policy("a", rules=[{}, rule])).policies
    at = "spec.rules[1]"
    assert not (found.rules[0].sources or found.rules[0].operations or found.rules[0].when)
    assert found.rules[1].place == at
    assert found.rules[1].sources == (
        (Condition(Attribute.PRINCIPAL, (Value(ir.Test.EXACT, "a"),), place=f"{at}.from[0].source.principals"),),
        (
            Condition(
                Attribute.NAMESPACE, but_not=(Value(ir.Test.EXACT, "b"),), place=f"{at}.from[1].source.notNamespaces"
            ),
            Condition(
                Attribute.SOURCE_IP, (Value(ir.Test.CIDR, "10.0.0.1/32"),), place=f"{at}.from[1].source.ipBlocks"
            ),
        ),
    )
    assert found.rules[1].operations == (
        (
            Condition(
                Attribute.HOST, but_not=(Value(ir.Test.SUFFIX, ".example"),), place=f"{at}.to[0].operation.notHosts"
            ),
            Condition(
                Attribute.PATH,
                (Value(ir.Test.TEMPLATE, "/a/{*}"),),
                (Value(ir.Test.PREFIX, "/b"),),
                place=f"{at}.to[0].operation.paths",
            ),
        ),
    )
    assert found.rules[1].when == (
        Condition(Attribute.CLAIM, (Value(ir.Test.PRESENT),), key=("a", "b"), place=f"{at}.when[0]"),
        Condition(Attribute.HEADER, but_not=(Value(ir.Test.EXACT, "c"),), key=("x-a",), place=f"{at}.when[1]"),
    )


def test_a_principal_of_the_mesh_is_that_of_all_its_trust_domains() -> None:
    domains = ("cluster.local", "old.example")

    def expanded(*texts: str) -> list[tuple[str, str]]:
        return [(value.test.value, value.text) for value in principals(texts, domains)]

    both = [("exact", "cluster.local/ns/a/sa/b"), ("exact", "old.example/ns/a/sa/b")]
    assert expanded("cluster.local/ns/a/sa/b") == expanded("old.example/ns/a/sa/b") == both
    assert expanded("foreign.example/ns/a/sa/b") == [("exact", "foreign.example/ns/a/sa/b")]
    assert expanded("*/ns/a/sa/b") == [("suffix", "/ns/a/sa/b")]
    assert expanded("cluster.local/ns/a/*") == [("prefix", "cluster.local/ns/a/")]  # as Istio: only whole ids
    assert expanded("cluster.local/ns/a/sa/b*") == [("prefix", text) for _, text in both]
    assert [value.text for value in trust_domains(["old.example", "x"], domains)] == [*domains, "x"]
    assert [value.text for value in service_accounts(["a", "b/c"], "mine")] == ["mine/a", "b/c"]
