"""The certificate authority: what there is to see of it and the rotation of its root, and the news of it to agents.

GET  /v1/ca                      api.views, CaView
POST /v1/ca/rotate               begins a rotation: to a new root, or to what the body brings along; a CaView
POST /v1/ca/finish[?force=1]     ends it; a CaView
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tulle.api.answers import as_json
from tulle.api.bodies import MALFORMED, body_of
from tulle.api.changes import changes_of
from tulle.api.doors import Trusts
from tulle.api.identity_views import CaView
from tulle.identity.authority import RotationRefused
from tulle.identity.brought import Brought

_brought = msgspec.json.Decoder(Brought)


class CertificateAuthority:
    """ends: when the certificates of proxies end."""

    def __init__(self, trusts: Trusts, ends: Callable[[], Awaitable[Mapping[str, float]]]) -> None:
        self._trusts = trusts
        self._ends = ends
        self.routes = [
            Route("/v1/ca", self._show),
            Route("/v1/ca/rotate", self._rotate, methods=["POST"]),
            Route("/v1/ca/finish", self._finish, methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        return as_json(await self._shown())

    async def _shown(self) -> CaView:
        ends = await self._ends()
        ca = self._trusts.ca()
        return replace(ca, proxies=[replace(one, ends=ends.get(one.id)) for one in ca.proxies])

    async def _rotate(self, request: Request) -> Response:
        body = await body_of(request)
        try:
            brought = _brought.decode(body) if body else None
        except MALFORMED as error:
            raise HTTPException(400, f"this is no authority to go over to: {error}") from error
        return await self._done(request, self._trusts.rotate(brought))

    async def _finish(self, request: Request) -> Response:
        return await self._done(request, self._trusts.finish(force=request.query_params.get("force") == "1"))

    async def _done(self, request: Request, work: Awaitable[None]) -> Response:
        before = self._trusts.ca()
        try:
            await work
        except RotationRefused as error:
            raise HTTPException(409, str(error)) from error
        except OSError as error:
            raise HTTPException(503, f"can't write to the state folder: {error.strerror or error}") from error
        changes_of(request).add("certificate authority", _told(before), _told(self._trusts.ca()))
        return as_json(await self._shown())


def _told(ca: CaView) -> dict[str, Any]:
    """For the audit log: what is trusted, and who signs."""
    return {"phase": ca.phase, "roots": [root.id for root in ca.roots], "issuers": msgspec.to_builtins(ca.issuers)}


async def tell_trust(trusts: Trusts, proxy: str, say: Callable[[dict[str, Any]], Awaitable[None]]) -> str:
    """Tells an agent what to trust, at first and when it changes, and when to renew its certificates.

    For ever, or until it is revoked; returns why.
    """
    told, asked = "", ""
    while True:
        wanted = trusts.wanted(proxy)
        if wanted.revoked:
            return wanted.revoked
        if wanted.trust.version != told:
            told = wanted.trust.version
            bundle, crl = wanted.trust.bundle_pem, wanted.trust.crl_pem
            await say({"trust": {"bundle": bundle, "crl": crl, "version": told}})
        if wanted.renew and wanted.renew != asked:
            await say({"renew": True, "within": wanted.within})
        asked = wanted.renew
        await trusts.wanted_after(proxy, wanted)
