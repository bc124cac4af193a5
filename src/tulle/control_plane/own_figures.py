"""What of the running control plane goes into its own figures, beside what its edges tell as it happens."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

from tulle.control_plane.mesh import LiveMesh
from tulle.control_plane.trust import TrustKeeper
from tulle.identity.audit import Audit, Event
from tulle.telemetry.own import Own

_LOOK_EVERY = 1.0


def counted(audit: Audit, own: Own) -> Audit:
    """The same audit log, of which certificates are counted."""

    def take(event: Event) -> None:
        if event.event in ("certificate issued", "certificate refused"):
            own.certificate(issued=event.event == "certificate issued")
        audit(event)

    return take


def read(own: Own, mesh: LiveMesh, trusts: TrustKeeper, clock: Callable[[], float]) -> None:
    """Has these figures read whenever somebody asks for them. clock: Unix time in seconds."""
    hub = mesh.hub

    def root_ends() -> float:
        return min((root.ends for root in trusts.ca().roots if root.signs), default=0.0)

    def chain_ends() -> float:
        return min((one.ends for one in trusts.ca().issuers if one.state == "signs"), default=0.0)

    def instances() -> Mapping[str, float]:
        return Counter(w.health.value for proxy in hub.mesh.proxies.values() for w in proxy.workloads)

    def newest_ready() -> float:
        return sum(views[-1].ready for views in hub.views.values() if views)

    own.reads("pilot_services", "Services that the mesh knows", lambda: len(hub.mesh.services))
    own.reads("pilot_xds", "Streams of sidecars", lambda: sum(map(len, hub.views.values())))
    own.reads("tulle_proxies", "Registered sidecars, each under a lease of its agent", lambda: len(hub.mesh.proxies))
    own.reads("tulle_proxies_in_sync", "Sidecars that have acknowledged all that they should hold", newest_ready)
    own.reads("tulle_resources", "Resources that are declared", lambda: len(hub.mesh.declared.resources))
    own.reads_each("tulle_instances", "Instances of services", "health", instances)
    own.reads("citadel_server_root_cert_expiry_timestamp", "When the root certificate ends, in Unix time", root_ends)
    own.reads(
        "citadel_server_root_cert_expiry_seconds",
        "Seconds until the root certificate ends",
        lambda: root_ends() - clock(),
    )
    own.reads(
        "citadel_server_cert_chain_expiry_timestamp", "When the authority that signs ends, in Unix time", chain_ends
    )


async def watch_the_loop(own: Own) -> None:
    """Measures for ever by how much the event loop comes too late."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _LOOK_EVERY
        await asyncio.sleep(_LOOK_EVERY)
        own.lagged(max(0.0, loop.time() - due))
