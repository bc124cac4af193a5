"""POST /v1/enrol and GET /v1/trust: how an agent comes by its certificates, from this machine and from others.

From others the evidence is in the Authorization header: `Join <id>.<secret>` of a join token, or `JWT <token>`. A renewal needs
none. Whoever fails too often is refused for a while before anything is looked at: strangers by their address, a proxy by its
certificate, so that none keeps another out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tulle.api.answers import as_json
from tulle.api.bodies import MALFORMED, MAX_BODY, body_of
from tulle.identity.attempts import FailedAttempts
from tulle.identity.attestors import AttestationRefused, AttestationUnavailable, Attested, Attestor
from tulle.identity.caller import Caller, Grant, Role
from tulle.identity.enrolment import EnrolAnswer, Enrolment, EnrolRefused, EnrolRequest
from tulle.identity.revocations import IsRevoked

JOIN, JWT = "join", "jwt"
_MOST_OF_STRANGERS = 64 * 1024
_BODY_WITHIN = 10.0

_log = logging.getLogger(__name__)
_request = msgspec.json.Decoder(EnrolRequest)


class Enrolling:
    """attestors: by the Authorization header's scheme in lower case. clock: in seconds, only goes forward."""

    def __init__(self, enrolment: Enrolment, attestors: Mapping[str, Attestor], clock: Callable[[], float]) -> None:
        self._enrolment = enrolment
        self._attestors = attestors
        self._of_strangers = FailedAttempts(clock)
        self._of_known = FailedAttempts(clock, over_all=False)
        self.routes = [
            Route("/v1/enrol", self.enrol, methods=["POST"]),
            Route("/v1/trust", self.trust, methods=["GET"]),
        ]

    async def trust(self, request: Request) -> Response:
        return as_json({"bundle": self._enrolment.bundle_pem})

    async def enrol(self, request: Request) -> Response:
        caller: Caller | None = request.scope["state"]["caller"]
        peer = str(request.scope["state"].get("peer", ""))
        who, attempts = (peer, self._of_strangers) if caller is None else (caller.name, self._of_known)
        if peer and attempts.are_too_many(who):
            raise HTTPException(429, "too many attempts to enrol have failed; wait a moment", {"retry-after": "5"})
        try:
            asked = await _asked(request, _MOST_OF_STRANGERS if peer else MAX_BODY)
        except HTTPException:
            attempts.failed(who)
            raise
        if caller is not None and caller.proxy and caller.proxy != asked.proxy:
            raise HTTPException(403, f"the certificate is proxy {caller.proxy}'s, the request is for {asked.proxy}")
        try:
            return as_json(await self._enrolled(asked, request, caller))
        except (AttestationRefused, EnrolRefused, IsRevoked) as error:
            attempts.failed(who)
            if peer:
                _log.warning("refused to enrol %s for %s: %s", _short(asked.proxy), peer, _short(str(error)))
            raise HTTPException(400 if isinstance(error, EnrolRefused) else 403, str(error)) from error
        except AttestationUnavailable as error:
            raise HTTPException(503, str(error)) from error

    async def _enrolled(self, asked: EnrolRequest, request: Request, caller: Caller | None) -> EnrolAnswer:
        async def attest() -> Attested:
            if caller is not None and caller.role is Role.ADMIN and not request.scope["state"].get("peer", ""):
                return Attested(Grant("local"))
            scheme, _, evidence = request.headers.get("authorization", "").partition(" ")
            attestor = self._attestors.get(scheme.lower())
            if attestor is None:
                raise AttestationRefused("it needs a join token (tulle token create), or a JWT of an issuer known here")
            return await attestor.attest(evidence.strip())

        return await self._enrolment.enrol(asked, attest)


async def _asked(request: Request, most: int) -> EnrolRequest:
    """Raises a refusal."""
    try:
        async with asyncio.timeout(_BODY_WITHIN):
            return _request.decode(await body_of(request, most))
    except TimeoutError as error:
        raise HTTPException(408, f"no whole request within {_BODY_WITHIN:g} s", {"connection": "close"}) from error
    except MALFORMED as error:
        raise HTTPException(400, f"this is no enrolment request: {error}") from error


def _short(text: str) -> str:
    """What others sent, made harmless for a log."""
    return "".join(character if character.isprintable() else "?" for character in text[:300])
