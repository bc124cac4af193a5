"""Services by the wildcards that cover their hosts: a rule for `*.example.com` costs what it covers, not all that there is."""

from __future__ import annotations

from collections.abc import Collection

from tulle.model.names import ServiceName
from tulle.resolve.hosts import wildcards


class Covered:
    def __init__(self) -> None:
        self._by_wildcard: dict[str, dict[ServiceName, None]] = {}

    def add(self, service: ServiceName) -> None:
        for wildcard in (service.host, *wildcards(service.host)):
            self._by_wildcard.setdefault(wildcard, {})[service] = None

    def discard(self, service: ServiceName) -> None:
        for wildcard in (service.host, *wildcards(service.host)):
            covered = self._by_wildcard.get(wildcard, {})
            covered.pop(service, None)
            if not covered:
                self._by_wildcard.pop(wildcard, None)

    def beneath(self, wildcard: str) -> Collection[ServiceName]:
        """Those of which `wildcard` covers the host, or is it; see hosts.covers."""
        return tuple(self._by_wildcard.get(wildcard, ()))
