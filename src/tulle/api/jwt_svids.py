"""JWT-SVIDs for workloads, asked for by their agents.

POST /v1/jwt-svids   {"proxy": ID, "audience": [TEXT]} -> {"svid": TOKEN}, of the proxy's workload
GET  /v1/jwt-keys    {"keys": JSON Web Key Set as a text}
"""

from __future__ import annotations

import msgspec
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tulle.api.answers import as_json
from tulle.api.bodies import MALFORMED, body_of
from tulle.api.doors import Mesh
from tulle.identity.caller import Caller
from tulle.identity.jwt_authority import AudienceRefused, JwtAuthority


class JwtSvidRequest(Struct, frozen=True):
    proxy: str
    audience: tuple[str, ...]


_request = msgspec.json.Decoder(JwtSvidRequest)


class JwtSvids:
    def __init__(self, mesh: Mesh, authority: JwtAuthority) -> None:
        self._mesh = mesh
        self._authority = authority
        self.routes = [
            Route("/v1/jwt-svids", self._sign, methods=["POST"]),
            Route("/v1/jwt-keys", self._keys),
        ]

    async def _sign(self, request: Request) -> Response:
        try:
            asked = _request.decode(await body_of(request))
        except MALFORMED as error:
            raise HTTPException(400, f"this is no request for a JWT-SVID: {error}") from error
        caller: Caller = request.state.caller
        if caller.proxy and caller.proxy != asked.proxy:
            raise HTTPException(403, f"{caller.name} is not the proxy {asked.proxy}")
        identity = self._mesh.identity(asked.proxy)
        if identity is None:
            raise HTTPException(404, f"there is no proxy {asked.proxy}")
        try:
            return as_json({"svid": self._authority.sign(identity, asked.audience)})
        except AudienceRefused as error:
            raise HTTPException(400, str(error)) from error

    async def _keys(self, request: Request) -> Response:
        return as_json({"keys": self._authority.key_set})
