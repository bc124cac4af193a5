"""One workload's parts while it runs, as the phases of its life hand them on."""

from __future__ import annotations

from dataclasses import dataclass

from tulle.agent.config import AgentConfig
from tulle.agent.console import Console
from tulle.agent.envoy import Envoy
from tulle.agent.health import Health
from tulle.agent.ports import Ports
from tulle.agent.program import Program
from tulle.agent.service_manager import ServiceManager
from tulle.agent.session import Session
from tulle.agent.signals import Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """What is around the program, whatever the way in which it is captured."""

    config: AgentConfig
    console: Console
    manager: ServiceManager
    signals: Signals
    ports: Ports
    health: Health
    envoy: Envoy
    session: Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload(Sidecar):
    """A sidecar and its program."""

    program: Program

    @classmethod
    def of(cls, sidecar: Sidecar, program: Program) -> Workload:
        return cls(
            config=sidecar.config,
            console=sidecar.console,
            manager=sidecar.manager,
            signals=sidecar.signals,
            ports=sidecar.ports,
            health=sidecar.health,
            envoy=sidecar.envoy,
            session=sidecar.session,
            program=program,
        )
