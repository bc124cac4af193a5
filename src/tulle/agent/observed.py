"""What an agent tells of calls: its figures, out of its parts, and at its end all that is left."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable

from tulle.agent.api import ControlPlane
from tulle.agent.credentials import Credentials
from tulle.agent.figures.figures import Figures
from tulle.agent.figures.own import Samples
from tulle.agent.proc import descendants
from tulle.agent.program import Program
from tulle.agent.reports import Reports
from tulle.agent.serving import Serving
from tulle.agent.workload import Sidecar

_TOLD_SECONDS = 1.0


class Observed:
    """program: to be set once there is one. figures: of this agent.

    rest: to be added to; each tells what is left of its kind in so many seconds at most.
    """

    def __init__(
        self, sidecar: Sidecar, serving: Serving, credentials: Credentials, control_plane: ControlPlane
    ) -> None:
        self.program: Program | None = None
        self._sidecar = sidecar
        self._serving = serving
        self._credentials = credentials
        reports = Reports(control_plane, sidecar.session.proxy, "metrics", "application/json")
        self.figures = Figures(
            sidecar.config, sidecar.envoy.running, reports, self._place, self._processes, self._samples
        )
        sidecar.envoy.before_end = self.figures.last
        sidecar.envoy.carried = self.figures.carried
        self.rest: list[Callable[[float], Awaitable[None]]] = []

    async def finish(self) -> None:
        """Has Envoy tell of its last calls, and tells of them. Takes at most about three seconds; nothing if there were none."""
        await self._sidecar.envoy.settled()
        await asyncio.gather(self.figures.finish(_TOLD_SECONDS), *(tell(_TOLD_SECONDS) for tell in self.rest))

    def _place(self) -> tuple[str, tuple[int, ...]]:
        return self._serving.offer.address, self._serving.offer.targets

    def _processes(self) -> dict[str, Iterable[int]]:
        program = descendants(self.program.reaper) if self.program else set()
        envoys = [each.pid for each in self._sidecar.envoy.running()]
        return {"agent": [os.getpid()], "envoy": envoys, "program": program - set(envoys)}

    def _samples(self) -> Samples:
        sidecar = self._sidecar
        return {
            "tulle_agent_health": {sidecar.health.value: 1},
            "tulle_agent_connected": int(sidecar.session.is_connected),
            "tulle_agent_program_starts_total": self.program.starts if self.program else 0,
            "tulle_agent_envoy_starts_total": sidecar.envoy.starts,
            "tulle_agent_certificate_expires_seconds": self._credentials.not_after,
        }
