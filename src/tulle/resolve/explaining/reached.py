"""Who would serve a request that goes to a backend, and why others of the service would not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from tulle.ir.routes import BackendRef
from tulle.ir.types import Endpoint
from tulle.model.workload import Health
from tulle.resolve import backends
from tulle.resolve.backends import Basis
from tulle.resolve.callers import Caller
from tulle.resolve.mesh import Instance, Mesh

_ILL = {
    Health.STARTING: "it is starting, and has not been healthy yet",
    Health.RUNNING: "its program runs, and has not served yet",
    Health.UNHEALTHY: "its health check fails",
}
FARTHER = "nearer ones come first (localities); it is used when too few of them are healthy"


class Candidate(Struct, frozen=True):
    """One that might serve. name: of the instance; its address where it is none. out: why it gets no request; "" if it does.

    proxy: "" where it has no sidecar.
    """

    name: str
    address: str
    out: str = ""
    proxy: str = ""
    locality: str = ""


class Reachable(Struct, frozen=True):
    """basis: None if there is no such backend. told: whether its endpoints are known here, and not found by DNS."""

    ref: BackendRef
    basis: Basis | None = None
    told: bool = True
    candidates: tuple[Candidate, ...] = ()

    @property
    def serving(self) -> tuple[Candidate, ...]:
        return tuple(one for one in self.candidates if not one.out)


def reachable(mesh: Mesh, caller: Caller, ref: BackendRef) -> Reachable:
    basis = backends.basis(mesh, caller, ref)
    if basis is None:
        return Reachable(ref)
    made = backends.backend(basis)
    by_address = {
        (endpoint.address, endpoint.port): (endpoint, locality.name, locality.priority)
        for locality in (backends.endpoints(basis).localities if made.told else made.localities)
        for endpoint in locality.endpoints
    }
    return Reachable(ref, basis, made.told, tuple(_candidates(basis, by_address)))


def _candidates(basis: Basis, by_address: Mapping[tuple[str, int], tuple[Endpoint, str, int]]) -> Iterator[Candidate]:
    seen = set()
    for instance in basis.service.instances if basis.offer.of_mesh else ():
        where = (instance.address, instance.port)
        seen.add(where)
        endpoint, _, priority = by_address.get(where, (None, "", 0))
        out = _out(basis, instance) or (_of_priority(endpoint, priority) if endpoint else "its address is not told")
        yield Candidate(
            instance.workload.id, _written(*where), out, instance.proxy, instance.workload.locality or "no locality"
        )
    for where, (endpoint, locality, priority) in by_address.items():
        if where not in seen:
            yield Candidate(
                endpoint.address, _written(*where), _of_priority(endpoint, priority), locality=locality or "no locality"
            )


def _out(basis: Basis, instance: Instance) -> str:
    workload, number = instance.workload, basis.ref.destination.port
    if not any(port.number == number for port in workload.ports):
        return f"it does not serve port {number}"
    if workload.health in _ILL:
        return _ILL[workload.health]
    tags = workload.tags
    for label, value in sorted(basis.labels.items()):
        if tags.get(label) != value:
            has = f"{label}={tags[label]}" if label in tags else f"no label {label}"
            return f"it has {has}, and the subset {basis.ref.subset} wants {label}={value}"
    return ""


def _of_priority(endpoint: Endpoint, priority: int) -> str:
    if endpoint.draining:
        return "it is ending, and finishes what it has"
    return FARTHER if priority else ""


def _written(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
