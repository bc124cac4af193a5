"""What an instance offers the mesh at one moment, as the control plane hears it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tulle.agent.config import AgentConfig, Port
from tulle.agent.ports import Ports
from tulle.model.addresses import LOOPBACK


@dataclass(frozen=True, slots=True)
class Offer:
    """ports: the service's, each with the port of this machine on which the program takes it.

    capture: how the program's connections come to its sidecar, a `model.workload.Capture`. ipv6: those by IPv6 as well.
    source: `address:port`, from which those by `seccomp` claim to come; a secret of agent and sidecar.
    """

    ports: tuple[Port, ...]
    capture: str
    ipv6: bool = False
    source: str = ""

    @property
    def address(self) -> str:
        """Where on loopback it listens."""
        return self.ports[0].address if self.ports else LOOPBACK

    @property
    def targets(self) -> tuple[int, ...]:
        """Where the program listens, each port once, the most important first."""
        return tuple(dict.fromkeys(port.target for port in self.ports if port.target is not None))


def description(
    config: AgentConfig, proxy: str, ports: Ports, offer: Offer, health: str, weight: int, metrics: str
) -> dict[str, Any]:
    """The instance as the control plane knows it: `tulle.model.workload.Proxy` as JSON. metrics: where they are served."""
    service_ports = [
        {
            "number": port.number,
            "target": port.target,
            "protocol": port.protocol,
            "name": port.name,
            "address": port.address,
        }
        for port in offer.ports
    ]
    workload = {
        "id": proxy,
        "service": {"namespace": config.namespace, "name": config.service},
        "service_account": config.service_account,
        "version": config.version,
        "labels": config.labels,
        "ports": service_ports,
        "health": health,
        "weight": weight,
        "locality": config.locality,
    }
    return {
        "id": proxy,
        "address": config.address or LOOPBACK,
        "inbound_port": ports.inbound,
        "outbound_port": ports.outbound,
        "workloads": [workload],
        "capture": offer.capture,
        "ipv6": offer.ipv6,
        "source": offer.source,
        "metrics": metrics,
    }
