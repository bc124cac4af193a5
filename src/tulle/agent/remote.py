"""The control plane as an agent on another machine sees it: the same API by TLS.

The join token says by which root certificate it is known. First the roots are asked for, of whoever answers, and only one with
that fingerprint is believed; every other connection is verified by it, and must prove the control plane's own SPIFFE id before
anything is sent. The agent itself proves an enrolled proxy by its certificate, and before it has one, itself by its evidence.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tulle.agent import http1
from tulle.agent.api import ControlPlane, Enrolment, Refused, asked, enrolment_in, error_text
from tulle.agent.exits import AgentError
from tulle.agent.known_roots import is_control_plane, known_roots, to_anybody, to_one_of
from tulle.model.join_token import JoinToken, parsed_address

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 10.0
_LONGEST_JWT = 16 * 1024


class RemoteControlPlane(ControlPlane):
    """data: the agent's own state folder. jwt_file: read anew for each enrolment, as whoever puts it there renews it."""

    def __init__(self, data: Path, join: JoinToken, jwt_file: str | None) -> None:
        super().__init__(data)
        self._join = join
        self._jwt_file = jwt_file
        self._roots = ""
        self._shown = ""  # key and chain of the proxy, PEM
        self._shown_until = 0.0  # by _passed()
        self._first = 0  # of the addresses: the one that answered last

    async def enrol(self, request: dict[str, Any]) -> Enrolment:
        async with asyncio.timeout(4 * _ANSWER_SECONDS):
            await self._learn_roots()
            async with self._connected() as connection:
                headers = {"Content-Type": "application/json", **self._evidence_if_needed()}
                content = {**request, "control_plane": connection.ip}
                return enrolment_in(await asked(connection, "POST", "/v1/enrol", headers, content))

    async def _answer(self, method: str, path: str, content: Any) -> Any:
        async with asyncio.timeout(_ANSWER_SECONDS), self._connected() as connection:
            return await asked(connection, method, path, {"Content-Type": "application/json"}, content)

    @asynccontextmanager
    async def session(self, proxy: str) -> AsyncIterator[http1.Connection]:
        async with self._connected() as connection:
            headers = {"Content-Type": "application/x-ndjson"}
            await connection.request("POST", f"/v1/agents/{proxy}", headers, body=None)
            yield connection

    @asynccontextmanager
    async def reporting(self, content_type: str) -> AsyncIterator[tuple[http1.Connection, dict[str, str]]]:
        async with self._connected() as connection:
            yield connection, {"Content-Type": content_type}

    def enrolled(self, key: str, given: Enrolment) -> None:
        self.trust(given.bundle)
        self._shown = f"{key}\n{given.proxy}"
        self._shown_until = _passed() + given.not_after - given.not_before

    def trust(self, bundle: str) -> None:
        """From now on the control plane may be of these roots, PEM, as it has said itself."""
        self._roots = bundle

    def trouble(self, error: OSError) -> str:
        return f"the control plane at {self._where} does not answer ({error_text(error)}); trying on"

    def refusal(self, refused: Refused) -> str:
        return f"the control plane at {self._where} refuses this instance: {refused}"

    @property
    def _where(self) -> str:
        return ", ".join(self._join.addresses)

    def _evidence_if_needed(self) -> dict[str, str]:
        """Raises Refused. A renewal is one by the certificate; evidence is for the case that nobody knows of it any more."""
        try:
            return self._evidence()
        except Refused:
            if not self._is_certified:
                raise
            return {}

    @property
    def _is_certified(self) -> bool:
        return bool(self._shown) and _passed() < self._shown_until

    def _evidence(self) -> dict[str, str]:
        """Raises Refused."""
        if self._join.id:
            return {"Authorization": f"Join {self._join.evidence}"}
        try:
            with Path(self._jwt_file or "").open("rb") as file:
                text = file.read(_LONGEST_JWT + 1).decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Refused(503, f"the JWT in {self._jwt_file} can't be read: {error_text(error)}") from error
        if not text or len(text) > _LONGEST_JWT or not text.isprintable() or " " in text:
            raise Refused(503, f"there is no JWT in {self._jwt_file}")
        return {"Authorization": f"JWT {text}"}

    async def _learn_roots(self) -> None:
        """Raises Refused if whoever answers is of none of the roots that the token names."""
        if self._roots:
            return
        async with self._reached(to_anybody()) as connection:
            answer = await asked(connection, "GET", "/v1/trust", {})
            at = connection.ip
        known, found = known_roots(answer, self._join.fingerprints)
        if not known:
            raise Refused(
                495,
                f"whoever answers at {at} is not the control plane of the join token: its root certificate has the "
                f"fingerprint {', '.join(found) or '(none)'}, and the token says {', '.join(self._join.fingerprints)}. If the "
                "control plane has a new authority, make a new token: tulle token create",
            )
        self._roots = known

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[http1.Connection]:
        """To the control plane, which has proved to be that."""
        context = to_one_of(self._roots)
        if self._is_certified:
            _show(context, self._shown)
        async with self._reached(context) as connection:
            if not is_control_plane(connection.certificate):
                raise Refused(495, f"whoever answers at {connection.ip} is of this mesh, but not its control plane")
            yield connection

    @asynccontextmanager
    async def _reached(self, context: ssl.SSLContext) -> AsyncIterator[http1.Connection]:
        """A connection to the first address that answers, beginning with the one that did last."""
        addresses = self._join.addresses
        failures: list[OSError] = []
        for number in (*range(self._first, len(addresses)), *range(self._first)):
            host, port = _parsed(addresses[number])
            opening = http1.over_tls(host, port, context, _CONNECT_SECONDS)
            try:
                connection = await opening.__aenter__()
            except OSError as error:
                failures.append(error)
                continue
            self._first = number
            try:
                yield connection
            finally:
                await opening.__aexit__(None, None, None)
            return
        raise failures[0]


def own_address(join: JoinToken) -> str:
    """The address from which this machine reaches the control plane; nothing is sent. Raises AgentError."""
    failure = ""
    for text in join.addresses:
        try:
            for family, _, _, _, place in socket.getaddrinfo(*_parsed(text), type=socket.SOCK_DGRAM):
                with socket.socket(family, socket.SOCK_DGRAM) as probe:
                    probe.connect(place)
                    return str(probe.getsockname()[0])
        except OSError as error:
            failure = f"{text}: {error.strerror or error}"
    raise AgentError(f"this machine has no way to the control plane ({failure}); or say where it is with --address IP")


def _show(context: ssl.SSLContext, pem: str) -> None:
    """OpenSSL reads keys from files only; this one is in memory, and nobody else's."""
    descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem.encode())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _parsed(address: str) -> tuple[str, int]:
    found = parsed_address(address)
    assert found  # join_token.decode has looked
    return found


def _passed() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
