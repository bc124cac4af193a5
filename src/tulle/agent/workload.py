"""One workload's parts while it runs, as the phases of its life hand them on."""

from __future__ import annotations

from dataclasses import dataclass

from tulle.agent.config import AgentConfig
from tulle.agent.console import Console
from tulle.agent.envoy import Envoy
from tulle.agent.health import Health
from tulle.agent.ports import Ports
from tulle.agent.program import Program
from tulle.agent.session import Session
from tulle.agent.signals import Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    config: AgentConfig
    console: Console
    signals: Signals
    ports: Ports
    health: Health
    envoy: Envoy
    session: Session
    program: Program
