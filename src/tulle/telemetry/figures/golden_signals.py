"""Rate, success and latency of calls that were counted: sums over flows, and what is read off them.

How a service answers is told by its own sidecars, as in Istio's dashboards (their "server" figures, reporter="destination"):
what a caller's sidecar says of it decides nothing where these tell of any calls. Calls that failed on the way are counted beside,
by their callers' word. Where a service's own sidecars tell of none, as it has none or is down, that word is all there is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from tulle.ir.telemetry import Reporter
from tulle.telemetry.figures.flow import Flow
from tulle.telemetry.figures.sums import Sum

SHARES = (0.5, 0.95, 0.99)


def counts(flow: Flow) -> bool:
    """Whether calls of this flow are counted by it. Those between two sidecars are counted by the server's alone."""
    return flow.reporter is Reporter.DESTINATION or not flow.is_paired


class Signals:
    """All calls of one service, edge, route..., over `window` seconds."""

    def __init__(self, window: float) -> None:
        self._window = window
        self.sum = Sum()
        self.errors = 0.0
        self._secured = 0.0
        self._met = 0.0  # somebody: what met nobody was neither secured nor not
        self.codes: defaultdict[str, float] = defaultdict(float)
        self.flags: defaultdict[str, float] = defaultdict(float)
        self.protocols: defaultdict[str, float] = defaultdict(float)

    def add(self, flow: Flow, total: Sum) -> None:
        self.sum.add(total.numbers)
        requests = total["requests"]
        calls = requests + total["opened"]
        self.protocols[flow.protocol] += calls or total["closed"] or 1
        if flow.has_met:
            self._met += calls
            self._secured += calls if flow.mtls else 0
        if not flow.is_tcp:
            self.errors += requests if flow.is_error else 0
            code = f"grpc {flow.grpc}" if flow.grpc else flow.code
            self.codes[code or "?"] += requests
        if flow.flags:
            self.flags[flow.flags] += calls

    @property
    def requests(self) -> float:
        return self.sum["requests"]

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self._window

    @property
    def success(self) -> float | None:
        """0 to 1; None without requests."""
        return 1 - self.errors / self.requests if self.requests else None

    @property
    def mtls(self) -> float | None:
        """The share of calls and connections that came by mutual TLS."""
        return self._secured / self._met if self._met else None

    @property
    def protocol(self) -> str:
        """That of most calls."""
        return max(self.protocols, key=lambda name: self.protocols[name], default="")

    @property
    def carries_tcp(self) -> bool:
        return "tcp" in self.protocols

    def per_second(self, name: str) -> float:
        return self.sum[name] / self._window

    def percentiles(self) -> list[float | None]:
        """p50, p95, p99 in milliseconds."""
        return self.sum.percentiles(SHARES)


class Served:
    """All calls to one service, workload..., over `window` seconds, by who tells of them."""

    def __init__(self, window: float) -> None:
        self._own, self._callers = Signals(window), Signals(window)
        self._has_own = False
        self._failed_on_the_way = 0.0

    def add(self, flow: Flow, total: Sum) -> None:
        """Of flows that count."""
        if flow.reporter is Reporter.DESTINATION:
            self._has_own = True
            self._own.add(flow, total)
            return
        self._callers.add(flow, total)
        if flow.has_failed_on_the_way:
            self._failed_on_the_way += total["requests"] + total["opened"]

    @property
    def signals(self) -> Signals:
        return self._own if self._has_own else self._callers

    @property
    def unreached(self) -> int:
        """How many calls more there were, which failed on the way."""
        return round(self._failed_on_the_way) if self._has_own else 0


def signals(window: float, found: Iterable[tuple[Flow, Sum]]) -> Signals:
    made = Signals(window)
    for flow, total in found:
        made.add(flow, total)
    return made
