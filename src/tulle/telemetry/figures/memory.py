"""All that is kept of what sidecars have counted: by flow for a day, by instance for some minutes. Bounded, whatever is told.

Time is a clock that only goes forward, also while the machine sleeps: a clock that is set anew moves no figure, and what nobody
told of is a gap. What goes through many flows does so in
turns with all else that runs on the event loop, so that no question, however long the answer, keeps a heartbeat waiting.
What is told meanwhile may be in the answer or not.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from msgspec.structs import replace

from tulle.aio.in_turns import in_turns
from tulle.ir.telemetry import Reporter
from tulle.model.peer import peer_of
from tulle.model.workload import Workload
from tulle.telemetry.figures.collectors import Collectors
from tulle.telemetry.figures.flow import UNKNOWN, End, Flow, flow_of
from tulle.telemetry.figures.report import Report
from tulle.telemetry.figures.ring import Ring
from tulle.telemetry.figures.sums import Sum, numbers_of

FINE, COARSE = 5.0, 300.0  # seconds of a slot
FINE_SLOTS, COARSE_SLOTS = 180, 288
SPAN = COARSE * COARSE_SLOTS
MOST_FLOWS = 4000
MOST_OF_ONE = 1000  # flows of one service, so that none takes the room of all
# Of 1,000 proxies: how they answer, by code. Who called is not told apart there.
MOST_OF_PROXIES = 16_000
MOST_OF_A_PROXY = 200
_PROXY_SLOTS = 24
PROXY_SPAN = FINE * _PROXY_SLOTS
SILENCE = 120.0  # seconds in which no sidecar tells of anything: a gap, and no time without calls
ANYBODY = ""
_MOST_PROXIES = 20_000
AT_ONCE = 20  # flows, or as much work, between two turns of the event loop: some milliseconds
_SLOTS_AT_ONCE = 20 * AT_ONCE
_OTHER = "other"
_ANYBODY = End("", UNKNOWN)
# So that reports of all take no more of the control plane than this many a second.
_REPORTS_A_SECOND = 100.0
_SHORTEST = 2.0


class _Kept:
    """A flow's numbers. until: the last moment that had any."""

    __slots__ = ("coarse", "fine", "until")

    def __init__(self) -> None:
        self.fine = Ring(FINE_SLOTS)
        self.coarse = Ring(COARSE_SLOTS)
        self.until = 0.0


class Figures:
    """clock: in seconds, only goes forward. since: of no time before that is anything known, or will be.

    Of too many flows those that come last are one, without codes and routes.

    That holds for all together, and for what the sidecars of one service tell.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.since = clock()
        self._flows: OrderedDict[Flow, _Kept] = OrderedDict()
        self._of_services: Counter[str] = Counter()  # how many flows each has told
        self._of_proxies: dict[tuple[str, Flow], Ring] = {}
        self._of_each: Counter[str] = Counter()  # how many of these each proxy has
        self._told: OrderedDict[str, tuple[str, int, float]] = OrderedDict()  # boot, number, and when
        self._present: dict[str, Ring] = {}  # by service, and ANYBODY: when any of its sidecars has told
        self._coarsely_present = Ring(COARSE_SLOTS, 1)  # the same of anybody, by slots of COARSE
        self._lost: dict[str, tuple[float, float]] = {}
        self.collectors = Collectors(clock)
        self.merged = 0  # series that were counted with others, as there were too many
        self.senseless = 0  # series that mean nothing
        self.not_by_proxy = 0  # series that were not told apart for their proxy, as there were too many

    async def take(self, proxy: str, workload: Workload, report: Report) -> None:
        """What a proxy's agent reports. May be under way for several reports at once."""
        now = self.clock()
        boot, number, _ = self._told.pop(proxy, ("", 0, 0.0))
        is_new = boot != report.boot or report.number > number
        self._told[proxy] = (report.boot, max(report.number, number if boot == report.boot else 0), now)
        while len(self._told) > _MOST_PROXIES:
            gone, _ = self._told.popitem(last=False)
            self._lost.pop(gone, None)
        self._lost[proxy] = (report.lost.series, report.lost.requests)
        service = f"{workload.service.namespace}/{workload.service.name}"
        seconds = min(max(report.seconds, 0.0), FINE * FINE_SLOTS)
        self.since = min(self.since, now - seconds)  # agents tell what they counted while there was no control plane
        slots = _slots(now, seconds, FINE)
        for who in (service, ANYBODY):
            _mark(self._present.setdefault(who, Ring(FINE_SLOTS, 1)), now, seconds, FINE)
        _mark(self._coarsely_present, now, seconds, COARSE)
        if not is_new:
            return
        self.collectors.add(report.collectors)
        own = peer_of(workload)
        async for series in in_turns(report.series, max(1, _SLOTS_AT_ONCE // len(slots))):
            flow = flow_of(series.labels, own, workload.service.name, workload.identity)
            if flow is None:
                self.senseless += 1
                continue
            numbers = numbers_of(series)
            kept = self._kept(flow)
            kept.until = now
            for slot, part in slots:
                kept.fine.add(slot, numbers, part)
            kept.coarse.add(int(now // COARSE), numbers)
            if flow.reporter is Reporter.DESTINATION:
                self._add_of_proxy(proxy, flow, int(now // FINE), numbers)

    @property
    def again(self) -> float:
        """After how many seconds each agent should report next."""
        return max(_SHORTEST, len(self._told) / _REPORTS_A_SECOND)

    @property
    def lost(self) -> dict[str, float]:
        """What is not told apart, or was not counted: series, and requests."""
        return {
            "series": sum(series for series, _ in self._lost.values())
            + self.merged
            + self.senseless
            + self.not_by_proxy,
            "requests": sum(requests for _, requests in self._lost.values()),
        }

    @property
    def reporting(self) -> int:
        """How many proxies have told in the last minute."""
        now = self.clock()
        return sum(1 for _, _, at in self._told.values() if now - at < max(60.0, 3 * self.again))

    async def totals(self, window: float, at: float) -> AsyncIterator[tuple[Flow, Sum]]:
        """Each flow that had anything in the `window` seconds before `at`, which is by the clock."""
        fine = window <= FINE * FINE_SLOTS and self.clock() - at + window <= FINE * FINE_SLOTS
        step = FINE if fine else COARSE
        first, last = int((at - window) // step) + 1, int(at // step)
        wanted = [(flow, kept) for flow, kept in self._flows.items() if kept.until >= at - window]
        async for flow, kept in in_turns(wanted, AT_ONCE):
            total = (kept.fine if fine else kept.coarse).total(first, last)
            if not total.is_empty:
                yield flow, total

    async def totals_of_proxies(self, window: float, at: float) -> AsyncIterator[tuple[str, Flow, Sum]]:
        """What each proxy has served, whoever called; at most PROXY_SPAN seconds back."""
        first, last = int((at - window) // FINE) + 1, int(at // FINE)
        async for (proxy, flow), ring in in_turns(list(self._of_proxies.items()), AT_ONCE):
            total = ring.total(first, last)
            if not total.is_empty:
                yield proxy, flow, total

    @property
    def flows(self) -> Iterable[Flow]:
        return self._flows.keys()

    async def rings(self, wanted: Callable[[Flow], bool], *, fine: bool) -> AsyncIterator[tuple[Flow, Ring]]:
        """Of the flows that are wanted."""
        found = [(flow, kept) for flow, kept in self._flows.items() if wanted(flow)]
        async for flow, kept in in_turns(found, AT_ONCE):
            yield flow, kept.fine if fine else kept.coarse

    def is_present(self, service: str, begin: float, end: float) -> bool:
        """Whether any sidecar of the service (ANYBODY: of any) has told of that time, which begins and ends with slots.

        What is longer ago than FINE_SLOTS is remembered of all together.
        """
        if self.clock() - begin > FINE * FINE_SLOTS:
            return self._coarsely_present.has(int(begin // COARSE), _last(end, COARSE))
        ring = self._present.get(service)
        return ring is not None and ring.has(int(begin // FINE), _last(end, FINE))

    def silences(self, begin: float, end: float) -> list[tuple[float, float]]:
        """From when to when, by the clock, nobody told of anything, for SILENCE at least; before the start anyhow."""
        fine = self.clock() - begin <= FINE * FINE_SLOTS
        step = FINE if fine else COARSE
        ring = self._present.get(ANYBODY) if fine else self._coarsely_present
        found, quiet = [], min(begin, end)
        for slot, _ in ring.each(int(begin // step), _last(end, step)) if ring else ():
            if slot * step - quiet >= SILENCE:
                found.append((quiet, slot * step))
            quiet = max(quiet, (slot + 1) * step)
        if end - quiet >= SILENCE:
            found.append((quiet, end))
        if begin < self.since:
            later = [(max(one, self.since), other) for one, other in found if other > self.since]
            until = min(self.since, end)
            if later and later[0][0] <= until:
                until = later.pop(0)[1]
            return [(begin, until), *later]
        return found

    async def tidy(self) -> None:
        """Forgets what is older than a day, and who has gone."""
        now = self.clock()
        last = int(now // FINE)
        first = last - FINE_SLOTS + 1
        async for flow, kept in in_turns(list(self._flows.items()), 5 * AT_ONCE):
            if now - kept.until > SPAN:
                self._forget(flow)
            kept.fine.forget(first)
            kept.coarse.forget(int(now // COARSE) - COARSE_SLOTS + 1)
        oldest = last - _PROXY_SLOTS + 1
        async for key, ring in in_turns(list(self._of_proxies.items()), 20 * AT_ONCE):
            if not ring.has(oldest, last):
                self._forget_of_proxy(key)
        for proxy in [proxy for proxy, (_, _, at) in self._told.items() if now - at > SPAN]:
            del self._told[proxy]
            self._lost.pop(proxy, None)
        for service in [name for name, ring in self._present.items() if not ring.has(first, last)]:
            del self._present[service]

    def _forget(self, flow: Flow) -> None:
        if self._flows.pop(flow, None) is not None:
            self._of_services[flow.teller.id] -= 1
            if not self._of_services[flow.teller.id]:
                del self._of_services[flow.teller.id]

    def _forget_of_proxy(self, key: tuple[str, Flow]) -> None:
        if self._of_proxies.pop(key, None) is not None:
            self._of_each[key[0]] -= 1
            if not self._of_each[key[0]]:
                del self._of_each[key[0]]

    def _kept(self, flow: Flow) -> _Kept:
        found = self._flows.get(flow)
        of_all, of_one = len(self._flows), self._of_services[flow.teller.id]
        most = min(MOST_OF_ONE, max(0, MOST_FLOWS - of_all))  # no more than is left for the others
        if found is None and (of_all >= MOST_FLOWS or of_one > most):
            self.merged += 1
            is_much = of_all >= MOST_FLOWS + MOST_FLOWS // 4 or of_one > most + most // 4
            flow = _other(flow) if is_much else _coarse(flow)
            found = self._flows.get(flow)
        if found is None:
            found = self._flows[flow] = _Kept()
            self._of_services[flow.teller.id] += 1
        return found

    def _add_of_proxy(self, proxy: str, flow: Flow, slot: int, numbers: Sequence[float]) -> None:
        """One that tells of too much is told of by how it ended alone. Idle ones make room: `tidy`."""
        flow = replace(flow, source=_ANYBODY, is_paired=False)
        ring = self._of_proxies.get((proxy, flow))
        if ring is None:
            own, free = self._of_each[proxy], MOST_OF_PROXIES - len(self._of_proxies)
            if own >= MOST_OF_A_PROXY or own > free:
                self.not_by_proxy += 1
                flow = replace(_other(flow), destination=flow.destination)
                ring = self._of_proxies.get((proxy, flow))
            if ring is None:
                if free <= 0:
                    return
                ring = self._of_proxies[proxy, flow] = Ring(_PROXY_SLOTS)
                self._of_each[proxy] += 1
        ring.add(slot, numbers)


def _slots(now: float, seconds: float, step: float) -> list[tuple[int, float]]:
    """The slots that a report is about, and the share of each: what came late is spread over the time in which it was counted."""
    last = int(now // step)
    count = max(1, round(seconds / step))
    return [(last - back, 1 / count) for back in range(count)]


def _mark(present: Ring, now: float, seconds: float, step: float) -> None:
    """The slots of which a report tells. Where one ends the next begins: no slot is left out, however often they come."""
    last = int(now // step)
    for slot in range(min(last, round((now - seconds) / step)), last + 1):
        present.add(slot, [1.0])


def _last(end: float, step: float) -> int:
    """The last slot that begins before that."""
    return max(0, int(-(-end // step)) - 1)


def _coarse(flow: Flow) -> Flow:
    """Without what makes flows many."""
    code = f"{flow.code[:1]}xx" if flow.code[:1] in "12345" and flow.code else ""
    return replace(flow, code=code, grpc=_OTHER if flow.is_error and flow.grpc else "", flags="", route="", port="")


def _other(flow: Flow) -> Flow:
    """One for all that is left, by how it ended."""
    nobody = End("", _OTHER)
    code = "500" if flow.is_error else ""
    return Flow(flow.reporter, nobody, nobody, flow.protocol, mtls=False, is_paired=flow.is_paired, code=code)
