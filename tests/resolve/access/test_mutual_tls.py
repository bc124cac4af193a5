"""What a port takes from its callers, by the PeerAuthentications of its mesh, namespace, workload and port."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tulle.ir.routes import BackendRef
from tulle.ir.types import Transport
from tulle.model.mutual_tls import MutualTls
from tulle.model.names import Destination, ServiceName
from tulle.model.resources.mesh_config import MeshConfig
from tulle.model.resources.peer_authentication import PeerAuthentication
from tulle.model.resources.resource import Ref, Resource
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Health, Proxy, ServicePort, Workload
from tulle.resolve import backends
from tulle.resolve.access.mutual_tls import modes, port_modes
from tulle.resolve.callers import Caller
from tulle.resolve.declared import Declared, apply
from tulle.resolve.inbound import inbound
from tulle.resolve.index import apply as applied
from tulle.resolve.mesh import Mesh

STRICT, PERMISSIVE, DISABLED = MutualTls.STRICT, MutualTls.PERMISSIVE, MutualTls.DISABLED
WEB = Workload(
    "web-1",
    ServiceName("default", "web"),
    "web",
    labels=(("tier", "front"),),
    ports=(ServicePort(80, 8080), ServicePort(9000, 9001)),
    health=Health.HEALTHY,
)


def policy(spec: str, name: str = "it", namespace: str = "default", created: float = 0.0) -> Resource:
    decoded = msgspec.yaml.decode(spec, type=PeerAuthentication, strict=False)
    return Resource(Ref("PeerAuthentication", namespace, name), decoded, created=created)


def said(*policies: Resource) -> dict[int, MutualTls]:
    declared, _ = apply(Declared(), {one.ref: one for one in policies})
    return port_modes(modes(declared, WEB), WEB)


MESH = policy("{mtls: {mode: PERMISSIVE}}", namespace="istio-system")
NAMESPACE = policy("{mtls: {mode: DISABLE}}", "of-the-namespace")
FRONT = "selector: {matchLabels: {tier: front}}"


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ([], STRICT),
        ([MESH], PERMISSIVE),
        ([MESH, NAMESPACE], DISABLED),
        ([MESH, NAMESPACE, policy(f"{{{FRONT}, mtls: {{mode: STRICT}}}}")], STRICT),
        ([policy("{mtls: {mode: DISABLE}}", namespace="elsewhere")], STRICT),
        ([policy("{selector: {matchLabels: {tier: back}}, mtls: {mode: DISABLE}}")], STRICT),
        ([MESH, policy("{mtls: {mode: UNSET}}")], PERMISSIVE),
        ([MESH, policy("{}")], PERMISSIVE),
        ([NAMESPACE, policy(f"{{{FRONT}}}")], DISABLED),
        ([policy(f"{{{FRONT}, mtls: {{mode: DISABLE}}}}", namespace="istio-system")], STRICT),
    ],
    ids=[
        "nothing said",
        "mesh",
        "namespace before mesh",
        "workload before namespace",
        "another namespace",
        "another workload",
        "unset is the parent's",
        "empty is the parent's",
        "a selector alone changes nothing",
        "a selector in the root namespace",
    ],
)
def test_the_narrowest_scope_that_says_something_counts(policies: list[Resource], expected: MutualTls) -> None:
    assert said(*policies) == {80: expected, 9000: expected}


def test_the_oldest_of_a_scope_counts() -> None:
    younger = policy("{mtls: {mode: DISABLE}}", "a", created=2.0)
    older = policy("{mtls: {mode: PERMISSIVE}}", "b", created=1.0)
    assert said(younger, older)[80] is PERMISSIVE


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ("{'8080': {mode: DISABLE}}", {80: DISABLED, 9000: PERMISSIVE}),  # where the program listens, as in Istio
        ("{'80': {mode: DISABLE}}", {80: DISABLED, 9000: PERMISSIVE}),  # what callers write, if that is nobody's target
        ("{'9001': {mode: UNSET}}", {80: PERMISSIVE, 9000: PERMISSIVE}),
        ("{'9001': {mode: STRICT}, '7': {mode: DISABLE}}", {80: PERMISSIVE, 9000: STRICT}),
    ],
)
def test_a_port_may_be_told_apart(ports: str, expected: dict[int, MutualTls]) -> None:
    assert said(policy(f"{{{FRONT}, mtls: {{mode: PERMISSIVE}}, portLevelMtls: {ports}}}")) == expected


def mesh(*policies: Resource, workload: Workload = WEB) -> Mesh:
    proxies: dict[str, Proxy | None] = {"web-1": Proxy("web-1", "127.0.0.1", 20001, 20002, (workload,))}
    found, _ = applied(Mesh(), Snapshot(1, proxies=proxies, resources={one.ref: one for one in policies}))
    return found


def reached(found: Mesh, port: int = 80) -> Any:
    basis = backends.basis(found, Caller("default"), BackendRef(Destination(WEB.service, port)))
    assert basis is not None
    return backends.backend(basis).transport, [
        e.plain for at in backends.endpoints(basis).localities for e in at.endpoints
    ]


ONE_PORT = Workload("web-1", WEB.service, "web", ports=(ServicePort(80, 8080),), health=Health.HEALTHY)


def test_callers_use_plain_text_only_where_mutual_tls_is_disabled() -> None:
    assert reached(mesh(workload=ONE_PORT)) == (Transport.MESH, [False])
    assert reached(mesh(MESH, workload=ONE_PORT)) == (Transport.MESH, [False])
    assert reached(mesh(NAMESPACE, workload=ONE_PORT)) == (Transport.MIXED, [True])


def test_ports_that_plain_text_can_not_tell_apart_are_called_by_mutual_tls() -> None:
    assert reached(mesh(NAMESPACE)) == (Transport.MESH, [False])


def test_a_policy_concerns_the_callers_of_its_namespace_alone() -> None:
    before = mesh(workload=ONE_PORT)
    ref = Ref("PeerAuthentication", "default", "of-the-namespace")
    _, changed = applied(before, Snapshot(2, resources={ref: NAMESPACE}))
    assert changed.endpoints == {WEB.service} and changed.policed == {"default"} and not changed.services
    elsewhere = policy("{mtls: {mode: DISABLE}}", namespace="elsewhere")
    _, changed = applied(before, Snapshot(2, resources={elsewhere.ref: elsewhere}))
    assert not changed.endpoints and changed.policed == {"elsewhere"}


def test_where_nothing_is_disabled_callers_need_not_be_told() -> None:
    before = mesh(workload=ONE_PORT)
    permissive, strict = (policy(f"{{mtls: {{mode: {mode}}}}}") for mode in ("PERMISSIVE", "STRICT"))
    assert permissive.ref == strict.ref
    for said in (permissive, strict):
        before, changed = applied(before, Snapshot(2, resources={said.ref: said}))
        assert not changed.endpoints and changed.policed == {"default"}


def test_who_is_called_in_plain_text_is_the_same_step_by_step_and_at_once() -> None:
    def instance(number: int, namespace: str, tier: str = "front") -> Proxy:
        id = f"{namespace}-{number}"
        one = replace(ONE_PORT, id=id, service=ServiceName(namespace, "web"), labels=(("tier", tier),))
        return Proxy(id, "127.0.0.1", 20001, 20002, (one,))

    def declare(*several: Resource) -> Snapshot:
        return Snapshot(1, resources={one.ref: one for one in several})

    root, front = (
        policy("{mtls: {mode: DISABLE}}", namespace="istio-system"),
        policy(f"{{{FRONT}, mtls: {{mode: STRICT}}}}"),
    )
    config = Resource(Ref("MeshConfig", "istio-system", "mesh"), MeshConfig(root_namespace="default"))
    steps = [
        Snapshot(1, {one.id: one for one in (instance(1, "default"), instance(2, "default"), instance(1, "shop"))}),
        declare(root),
        declare(NAMESPACE, front),
        Snapshot(1, {"default-1": instance(1, "default", "back"), "shop-1": None, "shop-2": instance(2, "shop")}),
        Snapshot(1, resources={root.ref: None}),
        Snapshot(1, resources={front.ref: None}),
        declare(config),
        Snapshot(1, {"default-2": None}, resources={NAMESPACE.ref: None}),
    ]
    stepwise, seen = Mesh(), []
    for step in steps:
        stepwise, _ = applied(stepwise, step)
        at_once, _ = applied(Mesh(), Snapshot(1, stepwise.proxies, resources=stepwise.declared.resources))
        assert stepwise.plain == at_once.plain
        seen.append(sorted(proxy for proxy, _ in stepwise.plain))
    assert seen == [
        [],
        ["default-1", "default-2", "shop-1"],
        ["shop-1"],
        ["default-1", "shop-2"],
        ["default-1"],
        ["default-1", "default-2"],
        ["default-1", "default-2", "shop-2"],
        [],
    ]


def test_what_callers_hold_says_by_which_policies_it_is_plain() -> None:
    ref = BackendRef(Destination(WEB.service, 80))
    for found, expected in (
        (mesh(MESH, NAMESPACE, workload=ONE_PORT), {str(MESH.ref), str(NAMESPACE.ref)}),
        (mesh(MESH), set()),
    ):
        basis = backends.basis(found, Caller("default"), ref)
        assert basis is not None and basis.sources == expected


def test_who_is_under_way_to_plain_text_is_called_by_mutual_tls() -> None:
    found = replace(mesh(NAMESPACE, workload=ONE_PORT), opening=frozenset({("web-1", "web-1")}))
    assert reached(found) == (Transport.MESH, [False])


def test_a_door_that_is_to_be_closed_takes_plain_text_until_callers_know() -> None:
    found = replace(mesh(workload=ONE_PORT), closing=frozenset({("web-1", "web-1")}))
    door = inbound(found, Proxy("web-1", "127.0.0.1", 20001, 20002, (ONE_PORT,)), ONE_PORT)
    assert door is not None and door.closing and [port.mutual_tls for port in door.ports] == [PERMISSIVE]
