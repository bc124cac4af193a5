"""The mesh as one value: applying snapshots one after another is the same as reading everything at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from declared_mesh import resources
from tulle.model.names import Destination, ServiceName
from tulle.model.snapshot import KnownPort, KnownService, Snapshot
from tulle.model.workload import Health, Protocol, Proxy, ServicePort, Workload
from tulle.resolve.index import apply
from tulle.resolve.mesh import Instance, Mesh

NAMES = [ServiceName("default", "a"), ServiceName("default", "b"), ServiceName("shop", "a")]


def proxy(number: int, service: ServiceName, health: Health = Health.HEALTHY, target: int = 8080) -> Proxy:
    workload = Workload(f"p{number}", service, service.name, ports=(ServicePort(80, target),), health=health)
    return Proxy(f"p{number}", "127.0.0.1", 20000 + number, 30000 + number, (workload,))


def known(service: ServiceName) -> KnownService:
    return KnownService(
        service, (KnownPort(80, Protocol.HTTP),), (f"spiffe://cluster.local/ns/{service.namespace}/sa/{service.name}",)
    )


def workload(number: int, service: ServiceName, health: Health, target: int) -> Workload:
    return Workload(f"w{number}", service, service.name, ports=(ServicePort(80, target),), health=health)


workloads = st.builds(
    workload, st.integers(0, 1), st.sampled_from(NAMES), st.sampled_from(Health), st.integers(8000, 8002)
)
proxies = st.builds(
    lambda number, workloads: Proxy(f"p{number}", "127.0.0.1", 20000 + number, 30000 + number, tuple(workloads)),
    st.integers(0, 5),
    st.lists(workloads, min_size=1, max_size=2, unique_by=lambda w: w.id),
)
callees = st.lists(st.builds(Destination, st.sampled_from(NAMES), st.integers(80, 81)), unique=True)
changes = st.lists(
    st.one_of(
        proxies.map(lambda p: ("put", p)),
        st.integers(0, 5).map(lambda n: ("gone", f"p{n}")),
        st.sampled_from(NAMES).map(lambda n: ("known", n)),
        st.sampled_from(NAMES).map(lambda n: ("forgotten", n)),
        st.tuples(st.sampled_from(NAMES), callees).map(lambda c: ("calls", c)),
    ),
    max_size=12,
)


def snapshot_of(revision: int, change: tuple[str, object]) -> Snapshot:
    kind, what = change
    if isinstance(what, Proxy):
        return Snapshot(revision, {what.id: what})
    if isinstance(what, str):
        return Snapshot(revision, {what: None})
    if isinstance(what, tuple):
        caller, destinations = what
        return Snapshot(revision, callees={caller: tuple(sorted(destinations))})
    assert isinstance(what, ServiceName)
    return Snapshot(revision, services={what: known(what) if kind == "known" else None})


def after(steps: list[tuple[str, object]]) -> Mesh:
    mesh = Mesh()
    for revision, step in enumerate(steps, 1):
        mesh, _ = apply(mesh, snapshot_of(revision, step))
    return mesh


def instances(mesh: Mesh, name: ServiceName) -> tuple[Instance, ...]:
    service = mesh.services.get(name)
    return service.instances if service else ()


@given(changes)
def test_step_by_step_gives_the_same_mesh_as_all_at_once(steps: list[tuple[str, object]]) -> None:
    mesh = Mesh()
    for revision, step in enumerate(steps, 1):
        before = mesh
        mesh, changed = apply(mesh, snapshot_of(revision, step))
        differing = {n for n in NAMES if before.services.get(n) != mesh.services.get(n)}
        assert changed.services | changed.endpoints == differing
        assert all(mesh.services.get(n) is before.services.get(n) for n in NAMES if n not in differing)
    at_once, _ = apply(Mesh(), Snapshot(len(steps), mesh.proxies, mesh.known, mesh.callees))
    assert at_once == mesh


@given(changes)
def test_every_instance_of_every_proxy_is_one_of_its_service(steps: list[tuple[str, object]]) -> None:
    mesh = after(steps)
    for name in NAMES:
        found = [(i.proxy, i.address, i.port, i.workload) for i in instances(mesh, name)]
        proxies = sorted(mesh.proxies.values(), key=lambda p: p.id)
        mine = [(p.id, p.address, p.inbound_port, w) for p in proxies for w in p.workloads if w.service == name]
        assert found == sorted(mine, key=lambda m: (m[0], m[3].id))


@given(changes)
def test_who_calls_a_service_is_read_off_whom_they_call(steps: list[tuple[str, object]]) -> None:
    mesh = after(steps)
    calls = {(callee.service, caller) for caller, callees in mesh.callees.items() for callee in callees}
    assert {(service, caller) for service, callers in mesh.callers.items() for caller in callers} == calls
    assert all(mesh.callers.values())


def test_a_change_of_health_changes_endpoints_and_nothing_else() -> None:
    mesh, _ = apply(Mesh(), Snapshot(1, {"p1": proxy(1, NAMES[0]), "p2": proxy(2, NAMES[1])}))
    after, changed = apply(mesh, Snapshot(2, {"p1": proxy(1, NAMES[0], Health.DRAINING)}))
    assert changed.endpoints == {NAMES[0]}
    assert not changed.services
    assert not changed.names
    assert after.services[NAMES[1]] is mesh.services[NAMES[1]]


def test_a_service_whose_last_instance_is_gone_stays_known() -> None:
    mesh, _ = apply(Mesh(), Snapshot(1, {"p1": proxy(1, NAMES[0])}, {NAMES[0]: known(NAMES[0])}))
    mesh, changed = apply(mesh, Snapshot(2, {"p1": None}))
    assert mesh.services[NAMES[0]].instances == ()
    assert changed.endpoints == {NAMES[0]}
    mesh, changed = apply(mesh, Snapshot(3, services={NAMES[0]: None}))
    assert NAMES[0] not in mesh.services
    assert changed.services == {NAMES[0]}
    assert changed.names


def test_what_nobody_alive_offers_any_more_is_no_port_of_the_service() -> None:
    service = ServiceName("default", "s")
    known = KnownService(service, (KnownPort(80, Protocol.HTTP), KnownPort(81, Protocol.HTTP)), ())
    alive = Workload("w1", service, "s", ports=(ServicePort(80, 8080),))
    mesh, _ = apply(Mesh(), Snapshot(1, {"p1": Proxy("p1", "127.0.0.1", 1, 2, (alive,))}, {service: known}))
    assert [port.number for port in mesh.services[service].ports] == [80]
    silent = Workload("w1", service, "s")
    for snapshot in (
        Snapshot(2, {"p1": Proxy("p1", "127.0.0.1", 1, 2, (silent,))}),
        Snapshot(3, {"p1": None}),
    ):
        mesh, _ = apply(mesh, snapshot)
        assert [port.number for port in mesh.services[service].ports] == [80, 81], "as long as nobody says anything"


ENTRY = """
ServiceEntry {name}
hosts: [{name}.example.com]
ports: [{{number: 5432, name: tcp, protocol: TCP}}]
resolution: STATIC
workloadSelector: {{labels: {{app: {name}}}}}
"""
MACHINE = """
WorkloadEntry machine
address: 10.0.0.1
labels: {{app: {name}}}
"""


def test_a_change_of_one_machine_touches_only_those_who_select_it_or_did() -> None:
    declared = resources(*(ENTRY.format(name=name) for name in "abc"), MACHINE.format(name="a"))
    mesh, _ = apply(Mesh(), Snapshot(1, resources={one.ref: one for one in declared}))
    assert [one.ref.name for one in mesh.services[ServiceName("", "a.example.com")].selected] == ["machine"]
    (moved,) = resources(MACHINE.format(name="b"))
    after, changed = apply(mesh, Snapshot(2, resources={moved.ref: moved}))
    assert changed.services | changed.endpoints == {ServiceName("", "a.example.com"), ServiceName("", "b.example.com")}
    assert after.services[ServiceName("", "a.example.com")].selected == ()
    assert after.services[ServiceName("", "b.example.com")].selected == (moved,)


def test_an_instance_that_comes_touches_only_those_who_select_it() -> None:
    declared = resources(*(ENTRY.format(name=name) for name in "abc"))
    mesh, _ = apply(Mesh(), Snapshot(1, resources={one.ref: one for one in declared}))
    after, changed = apply(mesh, Snapshot(2, {"p1": proxy(1, ServiceName("default", "b"))}))
    assert changed.services | changed.endpoints == {ServiceName("default", "b"), ServiceName("", "b.example.com")}
    assert [one.proxy for one in after.services[ServiceName("", "b.example.com")].chosen] == ["p1"]


def test_the_older_comes_first_in_whatever_order_they_are_declared() -> None:
    route = "VirtualService {name}\nhosts: [a]\nhttp: [{{directResponse: {{status: 418}}}}]\n"
    declared = resources(*(route.format(name=name) for name in "uvw"))
    for order in (declared, declared[::-1]):
        mesh = Mesh()
        for one in order:
            mesh, _ = apply(mesh, Snapshot(1, resources={one.ref: one}))
        assert [one.ref.name for one in mesh.declared.virtual_services["a.default.svc.cluster.local"]] == list("uvw")
    mesh, _ = apply(mesh, Snapshot(2, resources={declared[1].ref: None}))
    assert [one.ref.name for one in mesh.declared.virtual_services["a.default.svc.cluster.local"]] == ["u", "w"]
