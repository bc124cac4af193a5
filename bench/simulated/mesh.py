"""The mesh of the fan-out figures: names, and who holds what. Known alike to the control plane's process and the sidecars'."""

from __future__ import annotations

from tulle.ir.routes import BackendRef
from tulle.model.names import DEFAULT_PORT, Destination, ServiceName
from tulle.model.workload import Health, Proxy, ServicePort, Workload
from tulle.translate import names

INSTANCES = 10
HELD = 10
_STRIDE = (
    97  # prime to any number of services that is no multiple of it: each has as many holders as a sidecar has services
)


def service(index: int) -> ServiceName:
    return ServiceName("default", f"service-{index:04}")


def cluster(index: int) -> str:
    """What the service's load assignment is called."""
    return names.backend(BackendRef(Destination(service(index), DEFAULT_PORT)))


def proxy_id(index: int, instance: int) -> str:
    return f"service-{index:04}-{instance:06}"


def proxy(index: int, instance: int) -> Proxy:
    """A healthy instance, at an address of its own."""
    id = proxy_id(index, instance)
    ports = (ServicePort(DEFAULT_PORT, 8080),)
    workload = Workload(id, service(index), f"service-{index:04}", ports=ports, health=Health.HEALTHY)
    return Proxy(id, f"10.{index >> 8}.{index & 255}.{instance + 1}", 15006, 15001, (workload,))


def sidecar_id(index: int) -> str:
    """The simulated sidecar: that of the service's first instance."""
    return proxy_id(index, 0)


def held(index: int, services: int) -> tuple[int, ...]:
    """The services that a sidecar calls."""
    return tuple((index + step * _STRIDE) % services for step in range(HELD))


def holders(index: int, services: int) -> tuple[int, ...]:
    """The sidecars that call a service."""
    return tuple((index - step * _STRIDE) % services for step in range(HELD))
