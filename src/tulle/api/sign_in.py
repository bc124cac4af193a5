"""/v1/ui/...: how people sign in to the dashboard, and who they are then.

POST /v1/ui/tickets     for the `tulle ui` of who may ask already: a link that is good once
POST /v1/ui/sign-in     `{"ticket": ...}` or `{"token": ...}`, a user's: a cookie, and the key by which the page changes things
POST /v1/ui/sign-out
GET  /v1/ui/me
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tulle.api.answers import as_json
from tulle.api.bodies import MALFORMED, body_of
from tulle.api.identity_views import MeView, SignedInView, TicketView
from tulle.api.web import Web
from tulle.identity.attempts import FailedAttempts
from tulle.identity.audit import Audit, Event
from tulle.identity.browsers import TICKET_SECONDS, Browsers, Person, Session
from tulle.identity.caller import Caller, Role
from tulle.identity.users import NotProved, User, Users
from tulle.model.api_token import NoApiToken, decode

_MOST_BYTES = 8 * 1024
_BODY_WITHIN = 10.0
_LESS = {"": None, Role.ADMIN.value: Role.ADMIN, Role.VIEWER.value: Role.VIEWER}


class _Evidence(Struct, forbid_unknown_fields=True):
    ticket: str = ""
    token: str = ""


_evidence = msgspec.json.Decoder(_Evidence)


class SigningIn:
    """web: where the dashboard is; None: nowhere. failures: of signing in, all together."""

    def __init__(
        self, browsers: Browsers, users: Users, web: Web | None, audit: Audit, failures: FailedAttempts
    ) -> None:
        self._browsers = browsers
        self._users = users
        self._web = web
        self._audit = audit
        self._failures = failures
        self._clock: Callable[[], float] = time.time
        self.routes = [
            Route("/v1/ui/tickets", self.ticket, methods=["POST"]),
            Route("/v1/ui/sign-in", self.sign_in, methods=["POST"]),
            Route("/v1/ui/sign-out", self.sign_out, methods=["POST"]),
            Route("/v1/ui/me", self.me),
        ]

    async def ticket(self, request: Request) -> Response:
        state = request.scope["state"]
        caller: Caller = state["caller"]
        if "web" in state:
            raise HTTPException(403, "tickets are for `tulle ui`")
        if self._web is None:
            raise HTTPException(
                409, "the control plane serves no dashboard: it was started with --web-port off, or its port was taken"
            )
        wanted = request.query_params.get("role", "")
        if wanted not in _LESS:
            raise HTTPException(400, f"role must be viewer or admin, not {wanted[:50]!r}")
        role = _LESS[wanted] or caller.role
        if role is Role.ADMIN and caller.role is not Role.ADMIN:
            raise HTTPException(403, f"{caller.name} has the role {caller.role}")
        user: User | None = state["user"]
        ticket = self._browsers.ticket(Person(f"{caller.name}, dashboard", role, user))
        return as_json(TicketView(ticket, f"{self._web.url}#ticket={ticket}", role, TICKET_SECONDS))

    async def sign_in(self, request: Request) -> Response:
        web = _web_of(request)
        try:
            async with asyncio.timeout(_BODY_WITHIN):
                evidence = _evidence.decode(await body_of(request, _MOST_BYTES))
        except TimeoutError as error:
            raise HTTPException(408, f"no whole request within {_BODY_WITHIN:g} s", {"connection": "close"}) from error
        except MALFORMED as error:
            raise HTTPException(400, f"this proves nobody: {error}") from error
        person = await self._proved(evidence)
        older: Session | None = request.scope["state"]["session"]
        if older:
            self._browsers.end(older)
        told = self._browsers.begin(person)
        self._audit(Event(self._clock(), "signed in", person.name, reason=f"role {person.role}"))
        answer = as_json(SignedInView(person.name, person.role, told.key))
        answer.set_cookie(web.cookie, told.cookie, path="/", httponly=True, samesite="strict")
        return answer

    async def _proved(self, evidence: _Evidence) -> Person:
        """Who has something good is heard whatever others have tried: 256 random bits are not guessed, however often."""
        if evidence.token:
            try:
                user = await self._users.proved(decode(evidence.token).evidence)
            except (NoApiToken, NotProved) as error:
                raise self._refused(str(error)) from error
            return Person(f"user {user.name}, dashboard", user.role, user)
        person = self._browsers.redeemed(evidence.ticket)
        if person is None or (person.user and not await self._users.is_current(person.user)):
            raise self._refused("the link is not good any more: it works once, within a minute. Again: tulle ui")
        return person

    def _refused(self, why: str) -> HTTPException:
        if self._failures.are_too_many("browser"):
            return HTTPException(429, "too many have tried to sign in in vain; try again in a minute")
        self._failures.failed("browser")
        self._audit(Event(self._clock(), "user refused", "browser", reason=why))
        return HTTPException(401, why)

    async def sign_out(self, request: Request) -> Response:
        web = _web_of(request)
        session: Session | None = request.scope["state"]["session"]
        if session:
            self._browsers.end(session)
        answer = as_json({"signed_out": session is not None})
        answer.delete_cookie(web.cookie, path="/", httponly=True, samesite="strict")
        return answer

    async def me(self, request: Request) -> Response:
        state = request.scope["state"]
        caller: Caller = state["caller"]
        return as_json(MeView(caller.name, caller.role, caller.role is Role.ADMIN and state["has_key"]))


def _web_of(request: Request) -> Web:
    """Raises a refusal at the other doors."""
    web = request.scope["state"].get("web")
    if not isinstance(web, Web):
        raise HTTPException(404, "one signs in where the dashboard is")
    return web
