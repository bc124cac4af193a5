"""/v1/tokens: join tokens are made, listed, revoked. A secret is told once, to who makes the token."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tulle.api.answers import as_json
from tulle.api.bodies import MALFORMED, body_of
from tulle.api.changes import changes_of
from tulle.api.identity_views import MadeTokenView, TokenView
from tulle.identity.tokens import JoinTokens, Token, TokenRefused
from tulle.model.join_token import JoinToken, encode, parsed_address


class _Wanted(Struct, forbid_unknown_fields=True):
    """addresses: of the control plane as agents reach it; empty: where it listens. jwt: a token without a secret."""

    namespace: str = "default"
    service: str = ""
    service_account: str = ""
    ttl: float = 3600.0
    uses: int = 1
    addresses: tuple[str, ...] = ()
    jwt: bool = False


_wanted = msgspec.json.Decoder(_Wanted)


class Tokens:
    """listening: where agents on other machines reach the control plane; empty if nowhere, or not known.

    fingerprints: of the roots by which they know it.
    """

    def __init__(
        self, tokens: JoinTokens, listening: tuple[str, ...], fingerprints: Callable[[], tuple[str, ...]]
    ) -> None:
        self._tokens = tokens
        self._listening = listening
        self._fingerprints = fingerprints
        self.routes = [
            Route("/v1/tokens", self.list, methods=["GET"]),
            Route("/v1/tokens", self.create, methods=["POST"]),
            Route("/v1/tokens/{id}", self.revoke, methods=["DELETE"]),
        ]

    async def list(self, request: Request) -> Response:
        return as_json([view(token) for token in await self._tokens.all()])

    async def create(self, request: Request) -> Response:
        try:
            wanted = _wanted.decode(await body_of(request))
        except MALFORMED as error:
            raise HTTPException(400, f"this is no wish for a token: {error}") from error
        addresses = wanted.addresses or self._listening
        if not addresses:
            raise HTTPException(
                409,
                "no agent on another machine could use a token: the control plane listens on this machine only. Start it "
                "with --listen ADDRESS; where that is 0.0.0.0 or ::, say which address agents reach: --address HOST:PORT",
            )
        if bad := [each for each in addresses if parsed_address(each) is None]:
            raise HTTPException(400, f"address {bad[0]!r} is not valid: write HOST:PORT or [IPv6]:PORT")
        if len(addresses) > 8:
            raise HTTPException(400, "a token holds at most 8 addresses")
        where = JoinToken(tuple(addresses), self._fingerprints())
        if wanted.jwt:
            changes_of(request).none()  # it holds no secret, and nothing is kept of it
            return as_json(MadeTokenView("", encode(where)))
        try:
            made, secret = await self._tokens.create(
                wanted.namespace,
                wanted.service,
                wanted.service_account or wanted.service,
                wanted.ttl,
                wanted.uses,
            )
        except TokenRefused as error:
            raise HTTPException(400, str(error)) from error
        changes_of(request).add(f"join token {made.id}", after=msgspec.to_builtins(view(made)))
        text = encode(JoinToken(where.addresses, where.fingerprints, made.id, secret))
        return as_json(MadeTokenView(made.id, text, view(made)))

    async def revoke(self, request: Request) -> Response:
        id = request.path_params["id"]
        found = await self._tokens.find(id)
        if not await self._tokens.revoke(id):
            raise HTTPException(404, f"there is no join token {id}; `tulle token list` lists them")
        before = msgspec.to_builtins(view(found[0])) if found else None
        changes_of(request).add(f"join token {id}", before=before)
        return as_json({"revoked": id})


def view(token: Token) -> TokenView:
    return TokenView(
        token.id,
        token.namespace,
        token.service,
        token.service_account,
        token.created,
        token.expires,
        token.uses,
        token.used,
    )
