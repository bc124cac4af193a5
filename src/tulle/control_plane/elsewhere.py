"""What `tulle up --listen` adds: the door for agents on other machines, what they may prove themselves by, and its upkeep."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import ssl
from collections.abc import Callable, Mapping
from ipaddress import ip_address

from starlette.types import ASGIApp

from tulle.api import remote
from tulle.api.enrolment import JOIN, JWT
from tulle.config import JwtIssuer
from tulle.control_plane.certificate import OwnCertificate
from tulle.identity.attestation_jwt import JwtAttestor, Mapped
from tulle.identity.attestation_token import TokenAttestor
from tulle.identity.attestors import Attestor
from tulle.identity.enrolled_records import EnrolledRecords
from tulle.identity.issuer import IssuerKeys
from tulle.identity.revocations import Revocations
from tulle.identity.tokens import JoinTokens
from tulle.model.addresses import LOOPBACK
from tulle.model.join_token import written_address
from tulle.store.errors import StoreError
from tulle.xds.server import ServerIdentity

_TIDY_SECONDS = 60.0
_MOST_OPEN_FILES = 65_536

_log = logging.getLogger(__name__)


def raise_open_files() -> None:
    """Lets the control plane have as many connections as its user may have open files: strangers come with some, too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def xds_addresses(listen: tuple[str, int] | None) -> tuple[str, ...]:
    """Where the xDS door is: on loopback, and where agents on other machines come to. No address twice."""
    if listen is None or ip_address(listen[0]) == ip_address(LOOPBACK):
        return (LOOPBACK,)
    if ip_address(listen[0]).is_unspecified:
        return (listen[0],)  # loopback is in it; gRPC takes :: for both kinds of addresses
    return (LOOPBACK, listen[0])


def reached_at(listen: tuple[str, int] | None) -> tuple[str, ...]:
    """What a join token says; nothing if the address is none that others could connect to."""
    if listen is None or ip_address(listen[0]).is_unspecified:
        return ()
    return (written_address(*listen),)


def attestors(tokens: JoinTokens, issuer: JwtIssuer | None, clock: Callable[[], float]) -> Mapping[str, Attestor]:
    """By the scheme of the Authorization header. clock: Unix time in seconds."""
    found: dict[str, Attestor] = {JOIN: TokenAttestor(tokens, clock)}
    if issuer:
        keys = IssuerKeys(issuer.issuer, issuer.keys, issuer.ca)
        mapping = {subject: Mapped(*become) for subject, become in issuer.mapping}
        found[JWT] = JwtAttestor(issuer.issuer, issuer.audience, keys, mapping, clock)
    return found


async def serve(app: ASGIApp, listening: socket.socket, own: OwnCertificate) -> None:
    """The door, until it is cancelled."""
    identity: ServerIdentity | None = None
    context: ssl.SSLContext | None = None

    def newest() -> ssl.SSLContext:
        nonlocal identity, context
        now = own.identity()
        if context is None or now != identity:
            identity, context = now, remote.server_context(now.key, now.chain, now.roots)
        return context

    await remote.serve(app, listening, newest, asyncio.Event())


async def tidy(records: EnrolledRecords, tokens: JoinTokens, revocations: Revocations) -> None:
    """Forgets for ever what has ended."""
    trouble = ""
    while True:
        try:
            await records.tidy()
            await tokens.tidy()
            await revocations.tidy()
            trouble = ""
        except StoreError as error:
            if str(error) != trouble:
                _log.warning("can't forget who has gone: %s", error)
            trouble = str(error)
        await asyncio.sleep(_TIDY_SECONDS)
