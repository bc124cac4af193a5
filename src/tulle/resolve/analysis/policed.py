"""The workloads for which a policy of `security.istio.io` is: what of them decides whether it does what it says."""

from __future__ import annotations

from functools import cached_property

from tulle.model.resources.request_authentication import RequestAuthentication
from tulle.model.workload import Protocol, Workload
from tulle.resolve.access.selected import selected
from tulle.resolve.declared import Declared

_TCP = (Protocol.TCP, Protocol.TLS)


class Policed:
    """Each question is answered by the first workload that shows it. issuers: the RequestAuthentications of the mesh."""

    def __init__(self, workloads: tuple[Workload, ...], issuers: Declared) -> None:
        self.workloads = workloads
        self._issuers = issuers

    @cached_property
    def numbers(self) -> frozenset[int]:
        """The ports that policies can mean: those of the programs, and those of their services."""
        return frozenset(n for one in self.workloads for port in one.ports for n in (port.target, port.number))

    @cached_property
    def without_http(self) -> Workload | None:
        """One that carries no HTTP at any port."""
        carrying = (one for one in self.workloads if one.ports)
        return next((one for one in carrying if all(port.protocol in _TCP for port in one.ports)), None)

    @cached_property
    def has_http(self) -> bool:
        return any(port.protocol not in _TCP for one in self.workloads for port in one.ports)

    @cached_property
    def without_tokens(self) -> Workload | None:
        """One of which no RequestAuthentication says whose tokens count."""
        for one in self.workloads:
            found = selected(self._issuers, one, RequestAuthentication)
            if not any(spec.jwt_rules for _, spec in found):
                return one
        return None
