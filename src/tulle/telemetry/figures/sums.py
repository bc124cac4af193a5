"""Numbers that are added up: of a flow in a slot of time, of several slots, of several flows. Percentiles come last."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import add

from tulle.telemetry.figures.report import BOUNDS, Series

_SCALARS = (
    *("requests", "request_bytes", "response_bytes", "request_messages", "response_messages"),
    *("opened", "closed", "sent", "received", "duration"),
)
FIRST_BUCKET = len(_SCALARS)
WIDTH = FIRST_BUCKET + len(BOUNDS) + 1
_AT = {name: place for place, name in enumerate(_SCALARS)}
REQUESTS = _AT["requests"]
BUCKETS = range(FIRST_BUCKET, WIDTH)


class Sum:
    """duration: of all requests together, milliseconds."""

    __slots__ = ("numbers",)

    def __init__(self, numbers: Sequence[float] | None = None) -> None:
        self.numbers = array("d", numbers or bytes(8 * WIDTH))

    def add(self, numbers: Iterable[float]) -> None:
        """numbers: WIDTH of them."""
        self.numbers = array("d", map(add, self.numbers, numbers))

    def __getitem__(self, name: str) -> float:
        return self.numbers[_AT[name]]

    @property
    def is_empty(self) -> bool:
        return not any(self.numbers)

    def percentile(self, share: float) -> float | None:
        """As `percentiles`, one."""
        return self.percentiles((share,))[0]

    def percentiles(self, shares: Sequence[float]) -> list[float | None]:
        """Milliseconds within which each share (0 to 1) of the requests was answered; None if there were none.

        Within a bucket requests are taken to be spread evenly, as Prometheus' `histogram_quantile` does; above the last
        bound it is that bound.
        """
        buckets = self.numbers[FIRST_BUCKET:]
        sums = list(accumulate(buckets))
        if not sums or sums[-1] <= 0:
            return [None] * len(shares)
        return [_within(buckets, sums, share * sums[-1]) for share in shares]


def _within(buckets: Sequence[float], sums: Sequence[float], rank: float) -> float:
    place = bisect_left(sums, rank)
    while place < len(sums) - 1 and buckets[place] == 0:
        place += 1
    if place >= len(BOUNDS):
        return float(BOUNDS[-1])
    below, before = (BOUNDS[place - 1], sums[place - 1]) if place else (0.0, 0.0)
    return below + (BOUNDS[place] - below) * (rank - before) / buckets[place]


def numbers_of(series: Series) -> list[float]:
    found = [float(getattr(series, name)) for name in _SCALARS[:-1]]
    duration = series.duration
    if duration is None:
        return [*found, 0.0, *[0.0] * (len(BOUNDS) + 1)]
    return [*found, duration.sum, *duration.buckets]
