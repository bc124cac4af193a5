"""Whether a new version is as good as the old one, by what sidecars have counted of both."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from msgspec import Struct

from tulle.api.figure_views import StatView
from tulle.cli.signals import milliseconds, share

# Durations are counted in classes, the smallest of which are that wide: smaller differences mean nothing.
_SMALLEST_RISE_MS = 10.0


class Measured(Struct, frozen=True):
    """errors: of the requests, how many failed. p95: milliseconds; None if no request took any."""

    requests: int = 0
    errors: int = 0
    p95: float | None = None

    @property
    def share(self) -> float:
        return self.errors / self.requests if self.requests else 0.0

    def told(self) -> str:
        if not self.requests:
            return "no requests"
        many = f"{self.requests} request{'s' if self.requests != 1 else ''}"
        return f"{many}, {share(self.share)} errors, p95 {milliseconds(self.p95)}"


class Limits(Struct, frozen=True):
    """max_errors: by how much the share of errors may be above the old one's. max_latency: how many times the old p95 may be.

    min_requests: fewer say nothing. goes_on: without them, when a step's time is over.
    """

    max_errors: float = 0.01
    max_latency: float = 1.5
    min_requests: int = 20
    goes_on: bool = False


class Next(Enum):
    WAIT = "wait"
    GO_ON = "go on"
    GO_BACK = "go back"


class Verdict(Struct, frozen=True):
    next: Next
    why: str = ""


def measured(rows: Iterable[StatView], version: str) -> tuple[Measured, Measured]:
    """Of a service's workloads: the new version, and all others, with the p95 of the busiest of them.

    Failures that reached no instance count as the new version's, as that is what has changed; those on the way to one, as its;
    but not what sidecars are told to answer themselves, to which Envoy puts no flag. A caller's word is enough: to go back in
    vain does no harm.
    """
    new: list[Measured] = []
    old: list[Measured] = []
    for row in rows:
        errors = round(row.requests * (1 - row.success)) if row.success is not None else 0
        here = Measured(row.requests + row.unreached, errors + row.unreached, row.p95)
        if row.version == version:
            new.append(here)
        elif row.workload:
            old.append(here)
        else:
            failed = min(errors, sum(row.flags.values())) + row.unreached
            new.append(Measured(failed, failed))
    return _together(new), _together(old)


def _together(each: list[Measured]) -> Measured:
    busiest = max((one for one in each if one.p95 is not None), key=lambda one: one.requests, default=Measured())
    return Measured(sum(one.requests for one in each), sum(one.errors for one in each), busiest.p95)


def baseline(old: Measured, before: Measured | None, limits: Limits) -> Measured | None:
    """What the new version is held to: the old one now, or in the last step in which it had enough requests."""
    return old if old.requests >= limits.min_requests else before


def judged(new: Measured, old: Measured | None, limits: Limits, passed: float, seconds: float) -> Verdict:
    """After so many seconds of a step that is to last `seconds`. old: as `baseline` says; None: nothing is known of it.

    Before its time is over a step ends only if so much has failed that it could not become good any more, at this rate of
    requests. One in which too few requests came lasts twice as long if it has to judge.
    """
    if new.requests < limits.min_requests:
        few = f"{new.requests} of {limits.min_requests} requests"
        if passed < seconds or (passed < 2 * seconds and not limits.goes_on):
            return Verdict(Next.WAIT, f"too few to judge, {few}" if passed >= seconds else "")
        return Verdict(Next.GO_ON if limits.goes_on else Next.GO_BACK, f"too few to judge, {few}")
    allowed = limits.max_errors + (old.share if old else 0.0)
    expected = new.requests * max(1.0, seconds / max(passed, 1e-9))
    if new.errors > allowed * expected:
        return Verdict(Next.GO_BACK, f"{share(new.share)} of its requests failed, and {share(allowed)} may")
    if passed < seconds:
        return Verdict(Next.WAIT)
    if old and old.p95 and new.p95 is not None:
        most = max(old.p95 * limits.max_latency, old.p95 + _SMALLEST_RISE_MS)
        if new.p95 > most:
            return Verdict(Next.GO_BACK, f"its p95 is {milliseconds(new.p95)}, and may be {milliseconds(most)} at most")
    return Verdict(Next.GO_ON)
