"""What the API needs from the control plane above it. It decides nothing itself."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from tulle import __version__
from tulle.api.identity_views import CaView
from tulle.api.views import ConfigView, ProxyView, ServiceView, StatusView
from tulle.api.web import Web
from tulle.identity.attestation import Attestation
from tulle.identity.attestors import Attestor
from tulle.identity.audit import Audit
from tulle.identity.brought import Brought
from tulle.identity.browsers import Browsers
from tulle.identity.enrolment import Enrolment
from tulle.identity.jwt_authority import JwtAuthority
from tulle.identity.revocations import Revocations
from tulle.identity.tokens import JoinTokens
from tulle.identity.trust import Holding, Trust
from tulle.identity.users import Users
from tulle.model import workload
from tulle.model.names import ServiceName
from tulle.model.resources.resource import Ref
from tulle.pipeline.in_force import InForce
from tulle.resolve.mesh import Mesh as MeshValue
from tulle.sources.stored import Declared
from tulle.telemetry.calls.kept import Calls
from tulle.telemetry.figures.memory import Figures
from tulle.telemetry.own import Own
from tulle.telemetry.traces.keeper import Traces


class RegistrationRefused(Exception):
    """The mesh can't take this proxy. The message is for the user."""


class ProxyRevoked(RegistrationRefused):
    """It was thrown out of the mesh, and is not to come back."""


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

    def identity(self, name: str) -> str | None:
        """The SPIFFE id of the proxy's workload; None if the proxy is not registered."""

    def config(self, name: str) -> ConfigView | None:
        """None if the proxy is not registered; empty lists while its Envoy has no session."""


class Outside(Struct, frozen=True):
    """hosts: that are declared, sorted; None: ask for every name. passes: whether others may be looked up."""

    hosts: tuple[str, ...] | None = ()
    passes: bool = True


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

    def outside(self, proxy: str) -> Outside:
        """What holds for names that are none of the mesh's own."""

    async def outside_after(self, proxy: str, before: Outside) -> Outside:
        """The same, once it differs from `before`."""

    def idles(self, proxy: str, clusters: Collection[str]) -> None:
        """These clusters of the proxy's Envoy have had no call for long, and have none now."""

    async def settled(self, proxy: str) -> None:
        """Returns when the newest Envoy of the proxy has acknowledged all that it should hold."""

    async def propagated(self, proxy: str, health: workload.Health) -> None:
        """Returns when every sidecar that holds the proxy's services has acknowledged this health."""

    async def forget(self, service: ServiceName) -> None:
        """Forgets a service that has no live instance. Raises UnknownService, ServiceInUse."""


class WantedTrust(Struct, frozen=True):
    """What a proxy should hold. renew: the root for which it should renew its certificates soon, within so many seconds; "" if
    they are good, or if it has not said yet what it holds. revoked: why it may not go on; "" if it may."""

    trust: Trust
    renew: str = ""
    within: float = 0.0
    revoked: str = ""


class Trusts(Protocol):
    """What proxies are to trust, and the authority behind it."""

    def wanted(self, proxy: str) -> WantedTrust: ...

    async def wanted_after(self, proxy: str, before: WantedTrust) -> WantedTrust:
        """The same, once it differs from `before` in more than the time."""

    def holds(self, proxy: str, holding: Holding) -> None:
        """A proxy's Envoy has taken this up."""

    def ca(self) -> CaView: ...

    async def rotate(self, brought: Brought | None) -> None:
        """Begins to go over to another authority, a new one if None. Raises RotationRefused, OSError."""

    async def finish(self, *, force: bool) -> None:
        """Ends that; force: goes to the next step though proxies would be cut off. Raises RotationRefused, OSError."""


Generation = tuple[float, int]  # when a resource was created, and its generation: later is newer


class Progress(Struct, frozen=True):
    """How far a change of resources has come: of the proxies that need it, how many have acknowledged it.

    rejected: who refuses a part of it, and why. missing: some of those who have yet to answer. taken_up: whether the mesh
    itself has it, else nothing is known of proxies. is_over: nothing more comes, as all have answered, one has refused, or
    time is up.
    """

    needed: int
    acknowledged: int
    rejected: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    taken_up: bool
    is_over: bool


class Awaited(Protocol):
    """A change of resources that is about to be made."""

    def progress(self, made: Mapping[Ref, Generation | None], within: float) -> AsyncGenerator[Progress, None]:
        """How it goes on, once it is made; the last one is over. made: what each resource is now, None: gone.

        within: seconds.
        """


class Force(Protocol):
    """Where declared resources are in force."""

    def mesh(self) -> MeshValue:
        """The mesh as it is now."""

    async def in_force(self, refs: Collection[Ref] | None = None) -> Mapping[str, InForce]:
        """By resource, of all or of these; what no proxy needs is not there."""

    def awaited(self, refs: Collection[Ref]) -> Awaited:
        """To be asked for before the change is made."""


class KeyTrouble(Struct, frozen=True):
    """Why a key set can't be fetched. since: Unix time in seconds. kept: whether an older one is there."""

    reason: str
    since: float
    kept: bool


class Keys(Protocol):
    """The key sets of token issuers."""

    def troubles(self) -> Mapping[str, KeyTrouble]:
        """Those that could not be fetched when it was tried last, by their URI."""


class NoKeys:
    """Of a control plane that fetches none."""

    def troubles(self) -> Mapping[str, KeyTrouble]:
        return {}


@dataclass(frozen=True)
class Doors:
    """attestors: by the scheme of the Authorization header, for agents on other machines.

    listening: `host:port`, where those reach this control plane; empty if they can't, or if it is not known where.
    revoked: why a proxy is that, "" if it is not. audit_log: the file that `audit` writes. web: where the dashboard is; None:
    nowhere. own: the control plane's own figures.
    """

    mesh: Mesh
    agents: Agents
    enrolment: Enrolment
    attestation: Attestation
    declared: Declared
    force: Force
    jwt_authority: JwtAuthority
    trusts: Trusts
    tokens: JoinTokens
    revocations: Revocations
    users: Users
    audit: Audit
    audit_log: Path
    traces: Traces
    attestors: Mapping[str, Attestor] = field(default_factory=dict)
    listening: tuple[str, ...] = ()
    keys: Keys = field(default_factory=NoKeys)
    revoked: Callable[[str], str] = lambda proxy: ""
    browsers: Browsers = field(default_factory=lambda: Browsers(time.monotonic))
    web: Web | None = None
    figures: Figures = field(default_factory=lambda: Figures(time.monotonic))
    calls: Calls = field(default_factory=Calls)
    own: Own = field(default_factory=lambda: Own(__version__))
