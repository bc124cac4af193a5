"""What hosts in documents name, for one caller: the mesh's side of `callers.Names` and `callers.Delegates`."""

from __future__ import annotations

from tulle.ir.routes import BackendRef
from tulle.model.names import Destination, ServiceName, service_of
from tulle.model.resources.resource import Resource
from tulle.model.resources.virtual_service import VirtualService
from tulle.resolve import backends
from tulle.resolve.callers import Caller
from tulle.resolve.hosts import full
from tulle.resolve.mesh import Mesh
from tulle.resolve.rules import Scope, exported
from tulle.resolve.services import offer

# Where a rule leads, its caller may go: a Sidecar's scope names what is called, not what stands behind it.
_EVERYTHING = Scope()


class MeshNames:
    """asked: the services about which it was asked."""

    def __init__(self, mesh: Mesh, caller: Caller) -> None:
        self.asked: set[ServiceName] = set()
        self._mesh = mesh
        self._caller = caller

    def destination(self, host: str, namespace: str, port: int | None, listener_port: int) -> Destination | None:
        service = service_of(full(host, namespace))
        self.asked.add(service)
        offered = offer(self._mesh, self._caller, _EVERYTHING, service)
        if offered is None:
            return None
        self.asked.add(offered.service.name)  # it may be a wildcard's
        number = port or (offered.ports[0].number if len(offered.ports) == 1 else listener_port)
        return Destination(offered.service.name, number) if offered.port(number) else None

    def has_subset(self, destination: Destination, subset: str) -> bool:
        return backends.basis(self._mesh, self._caller, BackendRef(destination, subset)) is not None

    def delegate(self, namespace: str, name: str, root_namespace: str) -> Resource | None:
        found = self._mesh.declared.get("VirtualService", namespace, name)
        if found is None or not isinstance(found.spec, VirtualService) or found.spec.hosts:
            return None
        defaults = self._mesh.declared.config.default_virtual_service_export_to
        return found if exported(found, found.spec.export_to, Caller(root_namespace), defaults) else None
