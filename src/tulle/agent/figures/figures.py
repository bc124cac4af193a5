"""What this instance's sidecar counts, put together: START HERE. Read, added up, served and told while the agent lives."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import tulle
from tulle.agent.config import AgentConfig
from tulle.agent.figures.door import metrics_door
from tulle.agent.figures.labels import UNKNOWN, Own
from tulle.agent.figures.own import Samples, is_ours, own_metrics
from tulle.agent.figures.page import istio_lines, metric_lines
from tulle.agent.figures.reading import Process, Reading
from tulle.agent.figures.reporting import Reporting
from tulle.agent.figures.scraping import Scraping
from tulle.agent.figures.telling import Telling
from tulle.agent.figures.totals import Totals
from tulle.agent.figures.usage import Usage
from tulle.agent.reports import Reports
from tulle.model.peer_text import read
from tulle.model.spiffe import workload_id

_FRESH_SECONDS = 1.0  # a page waits so long for Envoy
_LAST_SECONDS = 0.5
_LINES = 2000

Processes = Callable[[], dict[str, Iterable[int]]]


class Figures:
    """running: the Envoys. reports: to the control plane.

    place: where the program listens. processes: by part, whose CPU and memory count. samples: of the agent's other metrics.
    """

    def __init__(
        self,
        config: AgentConfig,
        running: Callable[[], Sequence[Process]],
        reports: Reports,
        place: Callable[[], tuple[str, tuple[int, ...]]],
        processes: Processes,
        samples: Callable[[], Samples],
    ) -> None:
        peer = read(config.peer) or UNKNOWN.peer
        self._config = config
        self._running = running
        self._totals = Totals(Own(peer, workload_id(config.namespace, config.service_account)))
        self.carried = self._totals.carried
        self.reading = Reading(self._totals, running, time.monotonic)
        telling = Telling(self._totals, os.urandom(8).hex(), time.monotonic, self._lost)
        self._reporting = Reporting(self.reading, telling, reports)
        self._scraping: Scraping | None = None
        if config.scrape:
            port, slash, path = config.scrape.partition("/")
            self._scraping = Scraping(int(port) if port else None, slash + path, place, is_ours)
        self._processes = processes
        self._usage: dict[str, Usage] = {}
        self._samples = samples
        self._started = time.monotonic()

    def tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What has to run meanwhile, by name."""
        return {"figures": self.reading.run(), "figures told": self._reporting.run()}

    @asynccontextmanager
    async def door(self) -> AsyncIterator[str]:
        """Serves `/metrics` within the block; where, "" if that is not wanted. Raises AgentError."""
        address, _, port = self._config.metrics.rpartition(":")
        async with (
            metrics_door(address.strip("[]"), int(port), self.page) if self._config.metrics else nullcontext("")
        ) as where:
            yield where

    async def finish(self, seconds: float) -> None:
        """Reads all once more before Envoy ends, and tells it in so many seconds at most."""
        ends = [asyncio.create_task(self.last(process)) for process in self._running()]
        if ends:
            await asyncio.wait(ends)
        await self._reporting.finish(seconds)

    async def last(self, process: Process) -> None:
        """That Envoy ends now."""
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                await self.reading.last(process)
        except TimeoutError:
            pass

    async def page(self) -> bytes:
        """All of `/metrics`, as it is now or was when Envoy answered last."""
        theirs = asyncio.create_task(self._scraping.lines()) if self._scraping else None
        try:
            await self.reading.refresh(_FRESH_SECONDS)
            lines: list[str] = []
            for line in istio_lines(self._totals.flows):
                lines.append(line)
                if not len(lines) % _LINES:
                    await asyncio.sleep(0)
            others = await theirs if theirs else []
        finally:
            if theirs:
                theirs.cancel()
        lines += metric_lines(own_metrics(tulle.__version__, self._own()))
        return "\n".join([*lines, *others, ""]).encode()

    def _own(self) -> Samples:
        for part, processes in self._processes().items():
            self._usage.setdefault(part, Usage()).look(processes)
        scraping = self._scraping
        return {
            "tulle_agent_uptime_seconds": round(time.monotonic() - self._started, 3),
            **self._samples(),
            "tulle_agent_cpu_seconds_total": {part: round(usage.cpu, 2) for part, usage in self._usage.items()},
            "tulle_agent_resident_memory_bytes": {part: usage.memory for part, usage in self._usage.items()},
            "tulle_agent_series": self._totals.size,
            "tulle_agent_series_dropped_total": self._totals.lost_series,
            "tulle_agent_requests_dropped_total": self._totals.lost_requests,
            "tulle_agent_requests_uncounted_total": dict(self.reading.uncounted),
            "tulle_agent_collector_deliveries_failed_total": dict(self._totals.collectors.totals),
            "tulle_agent_envoy_reads_failed_total": self.reading.failed,
            "tulle_agent_reports_total": self._reporting.sent,
            "tulle_agent_reports_failed_total": self._reporting.failed,
            "tulle_agent_reports_lost_total": self._reporting.lost,
            **({"tulle_agent_scrape_failures_total": scraping.failures} if scraping else {}),
            **({"tulle_agent_scrape_left_out": scraping.left_out} if scraping else {}),
        }

    def _lost(self) -> dict[str, int]:
        requests = self._totals.lost_requests + sum(self.reading.uncounted.values())
        return {"series": self._totals.lost_series, "requests": requests}
