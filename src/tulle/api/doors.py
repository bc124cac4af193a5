"""What the API needs from the control plane above it. It decides nothing itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tulle.api.views import ConfigView, ProxyView, ServiceView, StatusView
from tulle.identity.attestation import Attestation
from tulle.identity.enrolment import Enrolment
from tulle.model import workload
from tulle.model.names import ServiceName
from tulle.sources.stored import Declared


class RegistrationRefused(Exception):
    """The mesh can't take this proxy. The message is for the user."""


class NotRegistered(Exception):
    """The proxy's lease has ended; its agent must register anew."""


class Unreachable(Exception):
    """A sidecar takes no connections to the service, and waiting does not help. The message is for the user."""


class UnknownService(Exception):
    """The mesh knows no such service."""


class ServiceInUse(Exception):
    """The service has live instances. The message names them."""


class Mesh(Protocol):
    """What there is to see. Each call answers at once, from memory."""

    def status(self) -> StatusView: ...

    def services(self) -> list[ServiceView]: ...

    def proxies(self) -> list[ProxyView]: ...

    def proxy(self, name: str) -> ProxyView | None:
        """By the proxy's id; None if it is not registered."""

    def config(self, name: str) -> ConfigView | None:
        """None if the proxy is not registered; empty lists while its Envoy has no session."""


class Agents(Protocol):
    """What agents report. A proxy has at most one session here: a newer one takes over from an older one."""

    async def register(self, proxy: workload.Proxy) -> None:
        """Returns when the registration is durable. The same proxy may come again. Raises RegistrationRefused."""

    async def keep_alive(self, proxy: str) -> None:
        """Called for every heartbeat. Raises NotRegistered."""

    async def set_health(self, proxy: str, workload: str, health: workload.Health) -> None:
        """Returns when it is durable. Raises NotRegistered."""

    async def leave(self, proxy: str) -> None:
        """An orderly end: its instances go at once."""

    async def abandon(self, proxy: str) -> None:
        """The session ended without a word: its instances go after a short grace unless it registers again."""

    async def ready(self, proxy: workload.Proxy) -> None:
        """Returns when the proxy is known as given, and its Envoy has a session and holds all that it should."""

    async def resolve(self, proxy: str, name: str) -> str | None:
        """The VIP of the service that a program means by a host, once its sidecar takes connections to that.

        None if no service is meant. name: in lower case, without a port. Raises Unreachable.
        """

    async def settled(self, proxy: str) -> None:
        """Returns when the newest Envoy of the proxy has acknowledged all that it should hold."""

    async def propagated(self, proxy: str, health: workload.Health) -> None:
        """Returns when every sidecar that holds the proxy's services has acknowledged this health."""

    async def forget(self, service: ServiceName) -> None:
        """Forgets a service that has no live instance. Raises UnknownService, ServiceInUse."""


@dataclass(frozen=True)
class Doors:
    mesh: Mesh
    agents: Agents
    enrolment: Enrolment
    attestation: Attestation
    declared: Declared
