"""Who asks: the one place where the caller of a request is decided, and what that one may ask for at all.

On this machine, by the Unix socket: a process of our user or of root that knows the data folder's secret may do all. From other
machines, by TLS: an agent with a proxy's certificate may keep that proxy's session; whoever has none may see the roots, which
are no secret, and try to enrol. The request's scope has the Caller in its state as `caller`, None for a stranger.

The door says in the scope's state who is at its other end: `uid` of a local process, or `peer`, the address of a remote one,
and `certificate`, DER, that TLS has verified; "" and b"" where there is no such thing.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tulle.identity.attestation import Attestation
from tulle.identity.caller import Caller, Role
from tulle.identity.svid import NotAnSvid, proved_id
from tulle.model.spiffe import proxy_of

# What strangers may ask for.
_OPEN = {("GET", "/v1/trust"), ("POST", "/v1/enrol")}
# For agents, whichever proxy is theirs.
_FOR_AGENTS = {("POST", "/v1/jwt-svids"), ("GET", "/v1/jwt-keys")}
_AGENTS = "/v1/agents/"

_WRONG_SECRET = "wrong secret: the caller's data folder is not the control plane's; see --data and TULLE_DATA"  # noqa: S105
_NO_CERTIFICATE = "from another machine this needs the certificate of an enrolled proxy"
_NOT_FOR_AGENTS = "an agent on another machine may enrol and keep its own session, and nothing else"


class Stranger(Exception):
    """The request proves nobody, and is not for strangers. The message is for its sender."""


def caller_of(scope: Scope, attestation: Attestation) -> Caller | None:
    """None: a stranger, at a path that is for strangers. Raises Stranger."""
    state: Mapping[str, Any] = scope["state"]
    if state.get("peer", ""):
        if certificate := state.get("certificate", b""):
            return _by_certificate(certificate)
        if (scope["method"], scope["path"]) in _OPEN:
            return None
        raise Stranger(_NO_CERTIFICATE)
    headers: dict[bytes, bytes] = dict(scope["headers"])
    if attestation.accepts(headers.get(b"authorization", b"")):
        return Caller(Role.ADMIN, f"local uid {state.get('uid', '?')}")
    raise Stranger(_WRONG_SECRET)


def may_ask(caller: Caller | None, method: str, path: str) -> bool:
    """Whether a caller may ask for this path; what is done there may depend on more."""
    if (method, path) in _OPEN or (caller is not None and caller.role is Role.ADMIN):
        return True
    if caller is None or caller.role is not Role.AGENT:
        return False
    return (method, path) in _FOR_AGENTS or path == f"{_AGENTS}{caller.proxy}"


class Known:
    """Lets a request through only from who may ask, and otherwise says nothing about what there is.

    revoked: why a proxy is that, "" if it is not.
    """

    def __init__(self, app: ASGIApp, attestation: Attestation, revoked: Callable[[str], str]) -> None:
        self._app = app
        self._attestation = attestation
        self._revoked = revoked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            caller = caller_of(scope, self._attestation)
        except Stranger as error:
            return await _refusal(401, str(error))(scope, receive, send)
        if caller is not None and caller.proxy and (why := self._revoked(caller.proxy)):
            return await _refusal(403, why, revoked=True)(scope, receive, send)
        if not may_ask(caller, scope["method"], scope["path"]):
            return await _refusal(403, _NOT_FOR_AGENTS)(scope, receive, send)
        scope["state"]["caller"] = caller
        return await self._app(scope, receive, send)


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


def _refusal(status: int, text: str, *, revoked: bool = False) -> Response:
    """revoked: whoever asks is not to ask again."""
    content = {"error": text, "revoked": True} if revoked else {"error": text}
    return Response(msgspec.json.encode(content), status, {"connection": "close"}, media_type="application/json")
