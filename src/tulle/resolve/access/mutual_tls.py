"""What each port of a workload takes from its callers: the mesh's mutual TLS, plain text, or both.

Source: istio.io, PeerAuthentication. The narrowest scope that says something counts: port, workload, namespace, mesh; in
each the oldest policy. One with a selector in the root namespace is for nobody. What nobody says is STRICT here, and
PERMISSIVE in Istio.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from tulle.model.mutual_tls import MutualTls
from tulle.model.resources.peer_authentication import MutualTLS, MutualTLSMode, PeerAuthentication
from tulle.model.resources.resource import Resource
from tulle.model.workload import ServicePort, Workload
from tulle.resolve.access.selected import selected
from tulle.resolve.declared import Declared

_MODES = {
    MutualTLSMode.STRICT: MutualTls.STRICT,
    MutualTLSMode.PERMISSIVE: MutualTls.PERMISSIVE,
    MutualTLSMode.DISABLE: MutualTls.DISABLED,
}


class Modes(Struct, frozen=True):
    """Of one workload. ports: by the numbers that a policy names. sources: the policies that say something of it, sorted."""

    workload: MutualTls = MutualTls.STRICT
    ports: Mapping[int, MutualTls] = {}
    sources: tuple[str, ...] = ()

    def of(self, port: ServicePort, targets: frozenset[int]) -> MutualTls:
        """targets: of all ports of the workload. A number in a policy is that of a target, or else of a service port."""
        if port.target in self.ports:
            return self.ports[port.target]
        if port.number in self.ports and port.number not in targets:
            return self.ports[port.number]
        return self.workload


STRICT = Modes()


def modes(declared: Declared, workload: Workload) -> Modes:
    """What is said for a workload."""
    if not declared.policies:
        return STRICT
    narrowest: dict[int, tuple[Resource, PeerAuthentication]] = {}
    for resource, spec in selected(declared, workload, PeerAuthentication):
        if (scope := _scope(resource, spec, declared.root_namespace)) is not None:
            narrowest.setdefault(scope, (resource, spec))
    mode, ports = MutualTls.STRICT, dict[int, MutualTls]()
    for scope in sorted(narrowest):
        _, spec = narrowest[scope]
        mode = _mode(spec.mtls, mode)
        if scope == _WORKLOAD:
            ports = {int(number): _mode(said, mode) for number, said in spec.port_level_mtls.items()}
    return Modes(mode, ports, tuple(sorted(str(resource.ref) for resource, _ in narrowest.values())))


def port_modes(found: Modes, workload: Workload) -> dict[int, MutualTls]:
    """By service port."""
    targets = frozenset(port.target for port in workload.ports)
    return {port.number: found.of(port, targets) for port in workload.ports}


def only_plain(declared: Declared, workload: Workload) -> Modes | None:
    """What is said, if sidecars call the workload in plain text: mutual TLS is off, and no other port could be meant.

    Plain text does not say which port of the workload it is for. Those of several take mutual TLS in each mode.
    """
    if len(workload.ports) != 1 or declared.disabling.isdisjoint((declared.root_namespace, workload.service.namespace)):
        return None
    found = modes(declared, workload)
    (mode,) = port_modes(found, workload).values()
    return found if mode is MutualTls.DISABLED else None


_MESH, _NAMESPACE, _WORKLOAD = range(3)


def _scope(resource: Resource, spec: PeerAuthentication, root: str) -> int | None:
    everyone = not (spec.selector and spec.selector.match_labels)
    if resource.ref.namespace == root:
        return _MESH if everyone else None
    return _NAMESPACE if everyone else _WORKLOAD


def _mode(said: MutualTLS | None, else_: MutualTls) -> MutualTls:
    return _MODES.get(said.mode, else_) if said else else_
