"""How often something may be tried in vain: per address and over all, so that a flood costs neither time nor log.

Guessing is hopeless anyhow; this bounds what others can have the control plane do, and write down. Callers who are known are
counted by their names.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import ip_address, ip_network

MOST_ADDRESSES = 4096
_OF_ONE = (10.0, 0.2)  # how many at once, and how many a second after that
_OF_ALL = (200.0, 20.0)


class _Bucket:
    __slots__ = ("_left", "_most", "_rate", "_since")

    def __init__(self, most: float, rate: float, now: float) -> None:
        self._most, self._rate = most, rate
        self._left, self._since = most, now

    def left(self, now: float) -> float:
        self._left = min(self._most, self._left + max(0.0, now - self._since) * self._rate)
        self._since = now
        return self._left

    def take(self, now: float) -> None:
        self._left = max(0.0, self.left(now) - 1)


class FailedAttempts:
    """clock: in seconds, only goes forward. An address that was not seen for long is forgotten first.

    over_all: whether all together have a limit as well, so that one may suffer for others.
    """

    def __init__(self, clock: Callable[[], float], *, over_all: bool = True) -> None:
        self._clock = clock
        self._all = _Bucket(*_OF_ALL, clock()) if over_all else None
        self._by_address: OrderedDict[str, _Bucket] = OrderedDict()

    def are_too_many(self, address: str) -> bool:
        """Whether this address, or caller, may not try now."""
        now = self._clock()
        known = self._by_address.get(_group(address))
        of_all = self._all is not None and self._all.left(now) < 1
        return of_all or (known is not None and known.left(now) < 1)

    def failed(self, address: str) -> None:
        now, group = self._clock(), _group(address)
        if self._all:
            self._all.take(now)
        bucket = self._by_address.setdefault(group, _Bucket(*_OF_ONE, now))
        bucket.take(now)
        self._by_address.move_to_end(group)
        while len(self._by_address) > MOST_ADDRESSES:
            self._by_address.popitem(last=False)


def _group(address: str) -> str:
    """An IPv6 machine has a whole /64 of addresses (RFC 4291, section 2.5.4)."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)
