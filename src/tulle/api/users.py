"""/v1/users: people who may ask are listed, made, revoked. A secret is told once, to who makes its user."""

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
from tulle.api.identity_views import MadeUserView, UserView
from tulle.identity.users import User, UserRefused, Users
from tulle.model.api_token import MOST_ADDRESSES, ApiToken, encode
from tulle.model.join_token import parsed_address


class _Wanted(Struct, forbid_unknown_fields=True):
    """ttl: seconds. addresses: of the control plane as the user reaches it; empty: where it listens."""

    name: str
    role: str
    ttl: float = 30 * 86400.0
    addresses: tuple[str, ...] = ()


_wanted = msgspec.json.Decoder(_Wanted)


class UsersApi:
    """listening: where the control plane is reached from other machines. fingerprints: of the roots by which it is known."""

    def __init__(self, users: Users, listening: tuple[str, ...], fingerprints: Callable[[], tuple[str, ...]]) -> None:
        self._users = users
        self._listening = listening
        self._fingerprints = fingerprints
        self.routes = [
            Route("/v1/users", self.list),
            Route("/v1/users", self.create, methods=["POST"]),
            Route("/v1/users/{name}", self.revoke, methods=["DELETE"]),
        ]

    async def list(self, request: Request) -> Response:
        return as_json([view(user) for user in await self._users.all()])

    async def create(self, request: Request) -> Response:
        try:
            wanted = _wanted.decode(await body_of(request))
        except MALFORMED as error:
            raise HTTPException(400, f"this describes no user: {error}") from error
        if bad := [each for each in wanted.addresses if parsed_address(each) is None]:
            raise HTTPException(400, f"address {bad[0]!r} is not valid: write HOST:PORT or [IPv6]:PORT")
        if len(wanted.addresses) > MOST_ADDRESSES:
            raise HTTPException(400, f"a token holds at most {MOST_ADDRESSES} addresses")
        try:
            user, secret = await self._users.create(wanted.name, wanted.role, wanted.ttl)
        except UserRefused as error:
            raise HTTPException(400, str(error)) from error
        changes_of(request).add(f"user {user.name}", after=msgspec.to_builtins(view(user)))
        addresses = wanted.addresses or self._listening
        token = ApiToken(user.name, secret, addresses, self._fingerprints() if addresses else ())
        return as_json(MadeUserView(encode(token), view(user)))

    async def revoke(self, request: Request) -> Response:
        name = request.path_params["name"]
        if (user := await self._users.revoke(name)) is None:
            raise HTTPException(404, f"there is no user {name}; `tulle user list` lists them")
        changes_of(request).add(f"user {name}", before=msgspec.to_builtins(view(user)))
        return as_json({"revoked": name})


def view(user: User) -> UserView:
    return UserView(user.name, user.role, user.created, user.expires, user.last_used or None)
