"""Other names of the mesh's trust domain (MeshConfig, `trustDomainAliases`): as good as its own, in and out."""

from __future__ import annotations

from declared_mesh import instance
from tulle.ir.routes import BackendRef
from tulle.model.names import Destination, ServiceName
from tulle.model.resources.mesh_config import MeshConfig
from tulle.model.resources.resource import Ref, Resource
from tulle.model.snapshot import Snapshot
from tulle.resolve import backends
from tulle.resolve.callers import caller_of
from tulle.resolve.inbound import inbound
from tulle.resolve.index import apply
from tulle.resolve.mesh import Mesh

OWN = "spiffe://cluster.local/ns/default/sa/reviews"
OLD = "spiffe://old.example/ns/default/sa/reviews"


def seen(config: MeshConfig) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which ids a caller of reviews takes for theirs, and with which prefixes callers' ids may begin."""
    proxy = instance("reviews")
    ref = Ref("MeshConfig", "", "mesh")
    declared = {ref: Resource(ref, config)}
    mesh = apply(Mesh(), Snapshot(1, {proxy.id: proxy}, resources=declared))[0]
    (workload,) = proxy.workloads
    to = BackendRef(Destination(ServiceName("default", "reviews"), 80))
    basis, door = backends.basis(mesh, caller_of(workload), to), inbound(mesh, proxy, workload)
    assert basis is not None and door is not None
    return backends.backend(basis).identities, door.trusted


def test_an_alias_is_taken_for_the_mesh_s_own_trust_domain() -> None:
    identities, trusted = seen(MeshConfig(trust_domain_aliases=("old.example",)))
    assert identities == (OWN, OLD)
    assert [prefix for prefix in trusted if OLD.startswith(prefix)] and [p for p in trusted if OWN.startswith(p)]


def test_without_one_no_other_trust_domain_is_trusted() -> None:
    identities, trusted = seen(MeshConfig())
    assert identities == (OWN,)
    assert not [prefix for prefix in trusted if OLD.startswith(prefix)]
