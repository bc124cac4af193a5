"""The connections of one proxy's workloads to TCP ports, which are made only when the proxy is ready for them."""

from __future__ import annotations

from tulle.model.names import Destination, ServiceName
from tulle.model.workload import Workload
from tulle.pipeline.demands import Demand
from tulle.pipeline.mistakes import Mistakes
from tulle.pipeline.reaching import Reaching
from tulle.resolve.mesh import Mesh
from tulle.resolve.outbound import route_config, tcp_ports
from tulle.translate import names
from tulle.xds.resources import LDS
from tulle.xds.session import Session


class Connecting:
    def __init__(self, session: Session, reaching: Reaching, mistakes: Mistakes) -> None:
        self._session = session
        self._reaching = reaching
        self._mistakes = mistakes
        self._failing: dict[tuple[str, ServiceName], None] = {}  # by workload: services whose ports could not be told

    def connects_to(self, mesh: Mesh, workload: Workload, service: ServiceName) -> None:
        """The workload has asked for the service's address: what carries TCP must be there before it connects."""
        part = f"the TCP ports of {service} in {route_config(workload)}"
        try:
            found = tcp_destinations(mesh, workload, service)
        except Exception as error:
            self._mistakes.note(part, error)
            self._failing[workload.id, service] = None
            return
        self._mistakes.mended(part)
        for destination in found:
            self._reaching.demand(mesh, Demand(route_config(workload), destination))

    def retry(self, mesh: Mesh) -> None:
        """The facts have changed: what could not be told may be known now."""
        failing, self._failing = self._failing, {}
        workloads = self._reaching.proxy.workloads if self._reaching.proxy else ()
        for workload in workloads:
            for id, service in failing:
                if workload.id == id:
                    self.connects_to(mesh, workload, service)

    def takes(self, mesh: Mesh, workload: Workload, service: ServiceName) -> bool:
        """Whether the proxy is ready for the workload's connections to the service's TCP ports."""
        config = route_config(workload)
        return all(
            self._session.holds(LDS, name) and self._session.acknowledged(LDS, name)
            for name in (names.tcp_listener(config, d) for d in tcp_destinations(mesh, workload, service))
        )

    def refuses(self, mesh: Mesh, workload: Workload, service: ServiceName) -> bool:
        """Whether the proxy has rejected what carries some of these connections, and so will not be ready for them."""
        demands = (Demand(route_config(workload), d) for d in tcp_destinations(mesh, workload, service))
        return any(self._reaching.refuses(demand) for demand in demands)


def tcp_destinations(mesh: Mesh, workload: Workload, service: ServiceName) -> list[Destination]:
    """The service's ports that carry TCP."""
    return [Destination(service, port.number) for port in tcp_ports(mesh, workload, service)]
