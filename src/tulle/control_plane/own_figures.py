"""What of the running control plane goes into its own figures, beside what its edges tell as it happens."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

from tulle.control_plane.mesh import LiveMesh
from tulle.control_plane.trust import TrustKeeper
from tulle.identity.audit import Audit, Event
from tulle.telemetry.calls.kept import Calls
from tulle.telemetry.figures.memory import Figures
from tulle.telemetry.own import Own
from tulle.telemetry.traces.keeper import Traces
from tulle.telemetry.traces.onward import Forwarding

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


def read_telemetry(own: Own, figures: Figures, calls: Calls, traces: Traces, onward: Forwarding | None) -> None:
    """The same of what sidecars tell of calls: how much is kept, and what is lost."""
    own.reads("tulle_figures_proxies", "Sidecars that have told figures of late", lambda: figures.reporting)
    own.counts(
        "tulle_figures_series_merged",
        "Kinds of calls that are counted with others, as there are too many",
        lambda: figures.merged,
    )
    own.counts(
        "tulle_figures_series_not_by_proxy",
        "Kinds of calls that are not told apart for their sidecar, as there are too many",
        lambda: figures.not_by_proxy,
    )
    own.counts("tulle_figures_series_refused", "Kinds of calls that mean nothing", lambda: figures.senseless)
    own.counts_each(
        "tulle_collector_deliveries_failed",
        "Deliveries of spans or access logs by sidecars that a collector did not take",
        "collector",
        lambda: figures.collectors.totals,
    )
    own.counts("tulle_calls_lost", "Single requests that sidecars have not told of", lambda: calls.lost)
    own.counts("tulle_spans_taken", "Spans that were taken in", lambda: traces.counts().taken)
    own.counts("tulle_spans_lost", "Spans that could not be kept", lambda: traces.counts().lost)
    own.counts("tulle_spans_lost_by_agents", "Spans that agents could not send", lambda: traces.counts().lost_by_agents)
    own.counts(
        "tulle_span_exports_malformed", "Messages with spans that could not be read", lambda: traces.counts().malformed
    )
    own.counts("tulle_traces_deleted", "Traces that have made room for others", lambda: traces.counts().deleted)
    own.reads(
        "tulle_traces_largest_share",
        "How much of the room for traces that is taken the one service has that takes most, 0 to 1",
        lambda: traces.counts().largest[1],
    )
    own.reads("tulle_spans_waiting_bytes", "Spans that are not written yet", lambda: traces.counts().waiting_bytes)
    own.counts("tulle_spans_forwarded", "Spans that another endpoint took", lambda: onward.sent if onward else 0)
    own.counts(
        "tulle_spans_forward_lost", "Spans that another endpoint did not take", lambda: onward.lost if onward else 0
    )


async def watch_the_loop(own: Own) -> None:
    """Measures for ever by how much the event loop comes too late."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _LOOK_EVERY
        await asyncio.sleep(_LOOK_EVERY)
        own.lagged(max(0.0, loop.time() - due))
