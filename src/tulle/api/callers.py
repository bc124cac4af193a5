"""Who asks, and whether that one may: the one place where the caller of a request is decided.

By the Unix socket comes a process of our user or of root: if it knows the data folder's secret it may do all. From other
machines, by TLS, comes an agent with a proxy's certificate, which may keep that proxy's session, or a stranger, who may see the
roots and try to enrol. On both ways a user's token proves that user. On loopback, where browsers come in (web.py), only that and
a session's cookie prove anything; a change takes the session's key as well. What each role may is in roles.py.

The request's scope has the Caller in its state as `caller`, None for a stranger. What callers change, and what they are
refused, goes to the audit log from here; refusals only as often as leaves room for the rest, which is an admin's to read.

The door says in the scope's state who is at its other end: `uid` of a local process, or `peer`, the address of a remote one,
and `certificate`, DER, that TLS has verified; "" and b"" where there is no such thing; `web` at the door for browsers.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tulle.api.changes import Changes, Made
from tulle.api.roles import OPEN_ON_LOOPBACK, ROLES, WITH_KEY, allows, comes_to_browsers, way_of
from tulle.identity.attempts import FailedAttempts
from tulle.identity.attestation import Attestation
from tulle.identity.audit import Audit, Event
from tulle.identity.browsers import Browsers, Session
from tulle.identity.caller import Caller, Role
from tulle.identity.svid import NotAnSvid, proved_id
from tulle.identity.users import NotProved, User, Users
from tulle.model.api_token import PREFIX, NoApiToken, decode
from tulle.model.spiffe import proxy_of
from tulle.store.errors import StoreError

KEY_HEADER = "x-tulle-key"

_USER = f"Bearer {PREFIX}".encode()

_WRONG_SECRET = "wrong secret: the caller's data folder is not the control plane's; see --data and TULLE_DATA"  # noqa: S105
_NO_CERTIFICATE = "from another machine this needs the certificate of an enrolled proxy, or a user's token (TULLE_API)"
_NOT_SIGNED_IN = "this needs somebody who has signed in (`tulle ui` prints a link), or a user's token"
_NO_KEY = f"from the dashboard, this needs the key that it was told when one signed in, in the header {KEY_HEADER}"
_NOT_FOR_BROWSERS = "agents do not come in by the door for browsers"
_NOT_FOR_AGENTS = "an agent on another machine may enrol and keep its own session, and nothing else"
_TOO_MANY = "too many tokens that are not valid came from this address; try again in a minute"


class Stranger(Exception):
    """The request proves nobody. The message is for its sender."""

    def __init__(self, message: str, status: int = 401) -> None:
        super().__init__(message)
        self.status = status


class Proved(Struct, frozen=True):
    """caller: None: a stranger. user: by whose token, if by one. session: a browser's; has_key: whether it may change things."""

    caller: Caller | None
    user: User | None = None
    session: Session | None = None
    has_key: bool = True


class Proof:
    """failures: of tokens, by address."""

    def __init__(
        self, attestation: Attestation, users: Users, browsers: Browsers, failures: FailedAttempts, audit: Audit
    ) -> None:
        self._attestation = attestation
        self._users = users
        self._browsers = browsers
        self._failures = failures
        self._audit = audit

    async def of(self, scope: Scope, now: float) -> Proved:
        """Raises Stranger for who proves something, but not what is wanted; StoreError."""
        state: Mapping[str, Any] = scope["state"]
        authorization = dict(scope["headers"]).get(b"authorization", b"")
        if authorization.startswith(_USER):
            return await self._user(
                authorization.removeprefix(b"Bearer ").decode("latin-1"), state.get("peer", ""), now
            )
        if web := state.get("web"):
            return await self._browser(scope, web.cookie)
        if state.get("peer", ""):
            certificate = state.get("certificate", b"")
            return Proved(_by_certificate(certificate) if certificate else None)
        if self._attestation.accepts(authorization):
            return Proved(Caller(Role.ADMIN, f"local uid {state.get('uid', '?')}"))
        raise Stranger(_WRONG_SECRET)

    async def holds(self, proved: Proved) -> bool:
        """Whether it still proves what it did."""
        if proved.session is not None and not self._browsers.goes_on(proved.session):
            return False
        try:
            return proved.user is None or await self._users.is_current(proved.user)
        except StoreError:
            return False

    async def _browser(self, scope: Scope, cookie: str) -> Proved:
        """A stranger, if it has no session that still goes on."""
        headers = dict(scope["headers"])
        cookies = cookie_parser(headers.get(b"cookie", b"").decode("latin-1"))
        session = self._browsers.session(cookies.get(cookie, ""))
        if session is None:
            return Proved(None)
        person = session.person
        if person.user is not None and not await self._users.is_current(person.user):
            self._browsers.end(session)
            return Proved(None)
        has_key = session.has_key(headers.get(KEY_HEADER.encode(), b"").decode("latin-1"))
        return Proved(Caller(person.role, person.name), person.user, session, has_key)

    async def _user(self, token: str, peer: str, now: float) -> Proved:
        """Who has a good token is heard whatever others have tried: 256 random bits are not guessed, however often."""
        try:
            user = await self._users.proved(decode(token).evidence)
        except (NoApiToken, NotProved) as error:
            if self._failures.are_too_many(peer):
                raise Stranger(_TOO_MANY, 429) from error
            self._failures.failed(peer)
            self._audit(Event(now, "user refused", peer or "local", reason=str(error)))
            raise Stranger(str(error)) from error
        return Proved(Caller(user.role, f"user {user.name}"), user)


class Known:
    """Lets a request through only from who may make it. clock: Unix time in seconds. revoked: why a proxy is that, or "".

    refusals: how often each caller was refused.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: Sequence[BaseRoute],
        proof: Proof,
        audit: Audit,
        clock: Callable[[], float],
        revoked: Callable[[str], str],
        refusals: FailedAttempts,
    ) -> None:
        self._refusals = refusals
        self._app = app
        self._routes = routes
        self._proof = proof
        self._audit = audit
        self._clock = clock
        self._revoked = revoked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            proved = await self._proof.of(scope, self._clock())
        except Stranger as error:
            return await _refusal(error.status, str(error))(scope, receive, send)
        except StoreError as error:
            return await _refusal(503, str(error))(scope, receive, send)
        caller, way = proved.caller, way_of(self._routes, scope)
        scope["state"]["way"] = way
        if caller is not None and caller.proxy and (why := self._revoked(caller.proxy)):
            return await _refusal(403, why, revoked=True)(scope, receive, send)
        is_web = "web" in scope["state"]
        if is_web and way is not None and not comes_to_browsers(way):
            return await _refusal(403, _NOT_FOR_BROWSERS)(scope, receive, send)
        is_open = way is not None and (ROLES[way] is None or (is_web and way in OPEN_ON_LOOPBACK))
        if caller is None and not is_open:
            return await _refusal(401, _NOT_SIGNED_IN if is_web else _NO_CERTIFICATE)(scope, receive, send)
        if caller is not None and not allows(caller, way, scope["path"]):
            return await _refusal(403, self._refused(caller, way, scope))(scope, receive, send)
        needs_key = scope["method"] not in ("GET", "HEAD") or way in WITH_KEY
        if not proved.has_key and needs_key and way is not None and ROLES[way] is not None:
            return await _refusal(403, _NO_KEY)(scope, receive, send)
        scope["state"] |= {"caller": caller, "changes": Changes(), "user": proved.user}
        scope["state"] |= {"session": proved.session, "has_key": proved.has_key}
        is_change = caller is not None and way is not None and ROLES[way] is Role.ADMIN and not way.startswith("GET ")
        note = partial(self._note, scope, caller.name) if caller is not None and is_change else _nothing
        answer = _Answer(send, proved, self._proof, note)
        try:
            await self._app(scope, receive, answer.send)
        except Exception:
            if not answer.is_cut_off:
                raise
        finally:
            answer.end()

    def _refused(self, caller: Caller, way: str | None, scope: Scope) -> str:
        what = f"{scope['method']} {scope['path']}"
        text = f"{caller.name} has the role {caller.role}, and {what} needs {way and ROLES[way]}"
        if not self._refusals.are_too_many(caller.name):
            self._audit(Event(self._clock(), "refused", caller.name, what, reason=text))
        self._refusals.failed(caller.name)
        return _NOT_FOR_AGENTS if caller.role is Role.AGENT else text

    def _note(self, scope: Scope, who: str, status: int) -> None:
        changes: Changes = scope["state"]["changes"]
        path, made = f"{scope['method']} {scope['path']}", changes.made
        if not made and status < 400 and not changes.is_none:
            made = [Made("")]
        for one in made:
            what = f"{path}: {one.what}" if one.what else path
            self._audit(Event(self._clock(), "changed", who, what, before=one.before, after=one.after))


def _by_certificate(certificate: bytes) -> Caller:
    """Raises Stranger."""
    try:
        identity = proved_id(ssl.DER_cert_to_PEM_cert(certificate).encode())
    except NotAnSvid as error:
        raise Stranger(str(error)) from error
    proxy = proxy_of(identity)
    if proxy is None:
        raise Stranger(f"{identity} is no proxy's identity: only proxies may ask")
    return Caller(Role.AGENT, f"certificate {identity}", proxy)


class _CutOff(Exception):
    """The caller's token has been revoked, or has expired, while it was answered."""


class _Answer:
    """A long answer, such as a watch, goes on only while its caller's token is good."""

    def __init__(self, send: Send, proved: Proved, proof: Proof, begins: Callable[[int], None]) -> None:
        """begins: told the status as soon as there is one; 500 if none comes."""
        self._send = send
        self._proved = proved
        self._proof = proof
        self._begins: Callable[[int], None] | None = begins
        self.is_cut_off = False

    def end(self, status: int = 500) -> None:
        begins, self._begins = self._begins, None
        if begins:
            begins(status)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.end(message["status"])
        elif message.get("more_body") and not await self._proof.holds(self._proved):
            self.is_cut_off = True
            await self._send({"type": "http.response.body", "body": b""})
            raise _CutOff
        await self._send(message)


def _nothing(status: int) -> None: ...


def _refusal(status: int, text: str, *, revoked: bool = False) -> Response:
    """revoked: whoever asks is not to ask again."""
    content = {"error": text, "revoked": True} if revoked else {"error": text}
    return Response(msgspec.json.encode(content), status, {"connection": "close"}, media_type="application/json")
