"""All that was ever counted, over all processes of Envoy, and what of it the control plane has not been told.

Bounded: of too many flows those that came last are counted together, and told as lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tulle.agent.figures.collectors import Collectors
from tulle.agent.figures.exposition import Series
from tulle.agent.figures.families import REQUESTS, Family
from tulle.agent.figures.labels import Labels, Own, enriched, is_canary, shown

MOST_FLOWS = 1000
_MOST_LOST = 10_000

Values = dict[str, list[float]]  # by the names of families


class Flow:
    """Calls that agree in all labels. totals: since the agent's start. fresh: what was not told. shown: labels of /metrics."""

    __slots__ = ("fresh", "labels", "shown", "totals")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.shown = shown(labels)
        self.totals: Values = {}
        self.fresh: Values = {}

    def grow(self, family: Family, grown: list[float]) -> None:
        add(self.totals, family.name, grown)
        if self.labels:  # else it is not told
            add(self.fresh, family.name, grown)


class Totals:
    """own: this instance, whose figures they are."""

    def __init__(self, own: Own) -> None:
        self._own = own
        self._flows: dict[Labels, Flow] = {}
        self._lost: set[int] = set()
        self._other = Flow(())
        self._canary = Flow(())
        self.collectors = Collectors()
        self.counted: dict[str, float] = {}  # requests by reporter, those that are lost among them

    @property
    def flows(self) -> Iterable[Flow]:
        return self._flows.values()

    @property
    def size(self) -> int:
        return len(self._flows)

    @property
    def lost_series(self) -> int:
        return len(self._lost)

    @property
    def lost_requests(self) -> int:
        """Requests and TCP connections of flows that are not shown."""
        totals = self._other.totals
        return int(sum(sum(totals.get(name, ())) for name in (REQUESTS.name, "istio_tcp_connections_opened_total")))

    def meaning(self, family: Family, tags: Mapping[str, str]) -> tuple[str, Flow] | None:
        """The reporter and the flow of a series, as `exposition.Reader` asks for it."""
        labels = enriched(tags, self._own, is_tcp=family.is_tcp)
        if labels is None:
            return None
        if is_canary(tags):
            return tags["reporter"], self._canary
        flow = self._flows.get(labels)
        if flow is None:
            if len(self._flows) >= MOST_FLOWS:
                if len(self._lost) < _MOST_LOST:
                    self._lost.add(hash(labels))
                return tags["reporter"], self._other
            flow = self._flows[labels] = Flow(labels)
        return tags["reporter"], flow

    def add(self, series: Iterable[Series[tuple[str, Flow]]]) -> None:
        """What they have grown by since the reading before."""
        for each in series:
            grown = each.grown()
            if grown is None:
                continue
            reporter, flow = each.flow
            flow.grow(each.family, grown)
            if each.family is REQUESTS:
                self.counted[reporter] = self.counted.get(reporter, 0.0) + grown[0]

    def carried(self, family: Family, tags: Mapping[str, str], size: int) -> None:
        """So many bytes more of a series which Envoy does not count by itself."""
        if found := self.meaning(family, tags):
            found[1].grow(family, [float(size)])


def add(values: Values, name: str, grown: list[float]) -> None:
    """To what is there already."""
    before = values.get(name)
    values[name] = grown[:] if before is None else [a + b for a, b in zip(before, grown, strict=True)]
