"""`tulle up`: one asyncio process that holds the state folder and serves agents, commands and Envoys.

Each part waits for what it needs: no Envoy is answered before all facts are known, so that a restart takes nothing away.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from tulle import __version__
from tulle.api import remote
from tulle.api import server as api_server
from tulle.api.app import build_app
from tulle.api.doors import Doors
from tulle.api.web import Web
from tulle.config import API_SOCKET, AUDIT_LOG, AUTHORITY, SECRET, Settings
from tulle.control_plane import dashboard, elsewhere, logs, otlp_door, own_figures, port
from tulle.control_plane.certificate import OwnCertificate
from tulle.control_plane.envoys import Envoys
from tulle.control_plane.facts import merged
from tulle.control_plane.force import InForceReports
from tulle.control_plane.inspection import Inspection
from tulle.control_plane.key_sets.addresses import allowed
from tulle.control_plane.key_sets.keeper import KeySets
from tulle.control_plane.mesh import LiveMesh
from tulle.control_plane.revoking import RevocationKeeper
from tulle.control_plane.sessions import AgentReports
from tulle.control_plane.timeline import Timeline
from tulle.control_plane.trust import TrustKeeper
from tulle.envoy_api import binary
from tulle.envoy_api.descriptors import DescriptorsMissing
from tulle.identity.attestation import Attestation
from tulle.identity.audit import opened
from tulle.identity.authority import Authority
from tulle.identity.brought import read_brought
from tulle.identity.browsers import Browsers
from tulle.identity.enrolled_records import EnrolledRecords
from tulle.identity.enrolment import Enrolment
from tulle.identity.jwt_authority import JwtAuthority
from tulle.identity.private import StateUnusable, check_private
from tulle.identity.revocations import Revocations
from tulle.identity.secret import open_secret
from tulle.identity.tokens import JoinTokens
from tulle.identity.users import Users
from tulle.model.addresses import LOOPBACK
from tulle.model.join_token import written_address
from tulle.model.spiffe import CONTROL_PLANE_ID
from tulle.registry.registry import Registry
from tulle.sources.stored import Declared
from tulle.store.errors import StoreError
from tulle.store.sqlite import open_store
from tulle.telemetry.calls.kept import Calls
from tulle.telemetry.figures.memory import Figures
from tulle.telemetry.own import Own
from tulle.telemetry.traces.keeper import Traces
from tulle.telemetry.traces.onward import BadEndpoint, Endpoint, Forwarding
from tulle.translate.bootstrap import bootstrap
from tulle.xds import server as xds_server

_log = logging.getLogger(__name__)

# What stops a control plane from starting, and is the user's to mend.
_TROUBLE = (
    StoreError,
    StateUnusable,
    xds_server.PortUnavailable,
    binary.EnvoyMissing,
    binary.EnvoyWrongVersion,
    DescriptorsMissing,
    BadEndpoint,
    OSError,
)


def main(settings: Settings) -> int:
    """Run until SIGINT or SIGTERM; the exit code."""
    logs.set_up(settings.log_format)
    code = 0
    try:
        asyncio.run(_until_signalled(settings))
    except* _TROUBLE as errors:
        for error in _leaves(errors):
            _log.error("tulle up: %s", _words(error))
        code = 1
    return code


def _words(error: BaseException) -> str:
    """Of an OSError that says in words of its own what it is about, without the number."""
    return error.strerror if isinstance(error, OSError) and error.strerror and not error.filename else str(error)


async def _until_signalled(settings: Settings) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with running(settings):
        await stopped.wait()
        _log.info("stopping; sidecars go on with what they have")


@asynccontextmanager
async def running(
    settings: Settings, clock: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic
) -> AsyncIterator[LiveMesh]:
    """A control plane, ready, within the block. Raises what `_TROUBLE` names.

    clock: Unix time in seconds. steady: seconds on a clock that only goes forward.
    """
    envoy = binary.find()
    async with AsyncExitStack() as stack:
        check_private(settings.data)
        own = Own(__version__)
        store = await stack.enter_async_context(open_store(settings.data, wrote=own.wrote))
        audit = own_figures.counted(stack.enter_context(opened(settings.data / AUDIT_LOG)), own)
        brought = read_brought(settings.ca) if settings.ca else None
        authority = Authority.open(settings.data / AUTHORITY, clock, brought, audit, settings.cert_ttl)
        attestation = Attestation(open_secret(settings.data / SECRET))
        registry = Registry(store, settings.lease)
        declared = Declared(store, clock)
        records, tokens = EnrolledRecords(store, clock), JoinTokens(store, clock)
        keys = KeySets(store, allowed(settings.jwks_allow), settings.jwks_refresh, clock)
        revocations = Revocations(store, clock, audit)
        mesh = LiveMesh(Timeline(clock), steady, own.converged, settings.trace_sampling, b3=settings.trace_b3)
        door = stack.enter_context(dashboard.opened(settings.data, settings.web_port))
        web = door.web if door else None
        tasks = await stack.enter_async_context(_tasks())

        known = asyncio.Event()
        sources = merged(registry.snapshots(), declared.snapshots(), keys.snapshots(), revocations.snapshots())
        tasks("follow the sources", mesh.follow(sources, known))
        tasks("remember callees", mesh.remember(registry))
        tasks("evict what is idle", mesh.tidy())
        tasks("turn doors", mesh.keep_time())
        await known.wait()
        tasks("keep the keys of token issuers", keys.keep(mesh))

        revoking, revoked = RevocationKeeper(revocations, authority, mesh, registry, clock), asyncio.Event()
        trusts = TrustKeeper(authority, mesh, steady, revoking.why)
        tasks("keep out who is revoked", revoking.keep(revoked, trusts.changed))
        tasks("take registrations of the revoked away", revoking.remove())
        await revoked.wait()
        tasks("keep the trust", trusts.keep())
        own_figures.read(own, mesh, trusts, clock)
        tasks("watch the event loop", own_figures.watch_the_loop(own))
        certificate = OwnCertificate(authority, settings.cert_ttl, clock)
        remembered = settings.data / "xds-port"
        xds_port = port.choose(remembered, settings.xds_port)
        addresses = elsewhere.xds_addresses(settings.listen)
        await stack.enter_async_context(
            xds_server.serve(
                Envoys(mesh, revoking.why, own), certificate.identity, addresses[0], xds_port, addresses[1:]
            )
        )
        port.remember(remembered, xds_port)

        onward = Forwarding(Endpoint(settings.trace_forward)) if settings.trace_forward else None
        traces = Traces(settings.data, clock, onward, steady=_passed)
        tasks("keep traces", traces.keep())
        figures, calls = Figures(_passed), Calls()
        own_figures.read_telemetry(own, figures, calls, traces, onward)
        if onward:
            tasks("forward traces", onward.send())
        if settings.otlp:
            await stack.enter_async_context(otlp_door.served(traces, *settings.otlp))

        doors = Doors(
            mesh=Inspection(
                mesh.hub,
                mesh.timeline,
                str(settings.data),
                xds_port,
                clock(),
                envoy.version,
                web.port if web else None,
                traces=lambda: traces.counts().trouble,
                collectors=figures.collectors.lately,
            ),
            agents=AgentReports(registry, mesh, records, revocations),
            enrolment=Enrolment(
                authority, settings.cert_ttl, partial(_bootstrap, xds_port), store, records, revocations
            ),
            attestation=attestation,
            declared=declared,
            force=InForceReports(mesh),
            jwt_authority=JwtAuthority.open(settings.data / AUTHORITY, clock),
            trusts=trusts,
            tokens=tokens,
            revocations=revocations,
            revoked=revoking.why,
            attestors=elsewhere.attestors(tokens, settings.jwt, clock),
            listening=elsewhere.reached_at(settings.listen),
            keys=keys,
            users=Users(store, clock),
            audit=audit,
            audit_log=settings.data / AUDIT_LOG,
            browsers=Browsers(_passed),
            web=web,
            own=own,
            figures=figures,
            calls=calls,
            traces=traces,
        )
        listening, app = asyncio.Event(), build_app(doors)
        tasks("serve the API", api_server.serve(app, settings.data / API_SOCKET, listening))
        tasks("forget who has gone", elsewhere.tidy(records, tokens, revocations))
        if door:
            tasks("serve the dashboard", door.serve(app))
        await listening.wait()
        if settings.listen:
            elsewhere.raise_open_files()
            tasks("serve agents elsewhere", elsewhere.serve(app, remote.bound(*settings.listen), certificate))
        _say_ready(settings, mesh, xds_port, web)
        yield mesh


def _passed() -> float:
    """Seconds, on a clock that only goes forward, and also while the machine sleeps: what is kept for a time ages by it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@asynccontextmanager
async def _tasks() -> AsyncIterator[Callable[[str, Coroutine[Any, Any, None]], None]]:
    """Tasks that live as long as the block; if one fails, the block is cancelled and the failure raised."""
    async with asyncio.TaskGroup() as group:
        begun: list[asyncio.Task[None]] = []
        try:
            yield lambda name, work: begun.append(group.create_task(work, name=name))
        finally:
            for task in reversed(begun):
                task.cancel()


def _bootstrap(xds_port: int, proxy: str, address: str) -> Mapping[str, Any]:
    return bootstrap(proxy, address or LOOPBACK, xds_port, CONTROL_PLANE_ID)


def _say_ready(settings: Settings, mesh: LiveMesh, xds_port: int, web: Web | None) -> None:
    count = len(mesh.hub.mesh.services)
    services = "no service yet" if not count else f"{count} service{'s' if count > 1 else ''} known"
    _log.info("ready: %s, state in %s, xDS on %s:%d", services, settings.data, LOOPBACK, xds_port)
    if web:
        _log.info("the dashboard is at %s; `tulle ui` opens it", web.url)
    if settings.listen:
        at = written_address(*settings.listen)
        _log.info("agents on other machines may enrol and keep their sessions at %s, with xDS on port %d", at, xds_port)
    if settings.log_format == "text" and not count:
        sys.stderr.write(
            "\nnext, in another terminal:  tulle run NAME -- COMMAND\n"
            "for example:                tulle run service-b -- python b.py\n\n"
        )


def _leaves(errors: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in errors.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
