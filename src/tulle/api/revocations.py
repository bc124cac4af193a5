"""Who is thrown out of the mesh, and how that is done and undone.

GET  /v1/revocations          a list of api.views, RevocationView
POST /v1/revocations          revokes the body's `target`; a RevokedView
POST /v1/revocations/undo     takes that back; a RevokedView
"""

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
from tulle.api.identity_views import RevocationView, RevokedView
from tulle.identity.caller import Caller
from tulle.identity.revocation_targets import NoTarget
from tulle.identity.revocations import Outcome, Revocations
from tulle.identity.revoked import RevokedAccount, RevokedProxy
from tulle.model.names import label_problem
from tulle.model.spiffe import workload_id

LONGEST_REASON = 500


class _Wanted(Struct, forbid_unknown_fields=True):
    """target: as of identity/revocation_targets.py. namespace: in which it must be; "": in any."""

    target: str
    namespace: str = ""
    reason: str = ""


_wanted = msgspec.json.Decoder(_Wanted)


class RevocationDoor:
    """handshakes: whether handshakes of revoked certificates are refused, as all authorities may sign lists of them."""

    def __init__(self, revocations: Revocations, handshakes: Callable[[], bool]) -> None:
        self._revocations = revocations
        self._handshakes = handshakes
        self.routes = [
            Route("/v1/revocations", self.list, methods=["GET"]),
            Route("/v1/revocations", self.revoke, methods=["POST"]),
            Route("/v1/revocations/undo", self.undo, methods=["POST"]),
        ]

    async def list(self, request: Request) -> Response:
        found = map(view, (await self._revocations.all()).records.values())
        return as_json(sorted(found, key=lambda one: (one.kind, one.namespace, one.name)))

    async def revoke(self, request: Request) -> Response:
        wanted = await _asked(request)
        changes_of(request).none()  # it notes itself what it changes
        try:
            done = await self._revocations.revoke(wanted.target, wanted.namespace, wanted.reason, _who(request))
        except NoTarget as error:
            raise _refusal(error) from error
        return self._done(done)

    async def undo(self, request: Request) -> Response:
        wanted = await _asked(request)
        changes_of(request).none()  # it notes itself what it changes
        try:
            done = await self._revocations.undo(wanted.target, wanted.namespace, _who(request))
        except NoTarget as error:
            raise _refusal(error) from error
        return self._done(done)

    def _done(self, done: Outcome) -> Response:
        changed, already = map(view, done.changed), map(view, done.already)
        return as_json(RevokedView([*changed], [*already], self._handshakes()))


def view(one: RevokedProxy | RevokedAccount) -> RevocationView:
    if isinstance(one, RevokedAccount):
        name, namespace, account, service, until = one.service_account, one.namespace, one.service_account, "", None
    else:
        enrolled = one.enrolled
        name, namespace, account = enrolled.proxy, enrolled.namespace, enrolled.service_account
        service, until = enrolled.service, one.ends
    return RevocationView(
        kind="service account" if isinstance(one, RevokedAccount) else "proxy",
        name=name,
        namespace=namespace,
        service=service,
        spiffe_id=workload_id(namespace, account),
        since=one.since,
        reason=one.reason,
        by=one.by,
        until=until,
    )


async def _asked(request: Request) -> _Wanted:
    """Raises a refusal."""
    try:
        wanted = _wanted.decode(await body_of(request))
    except MALFORMED as error:
        raise HTTPException(400, f"this is no wish to revoke: {error}") from error
    if wanted.namespace and (problem := label_problem("namespace", wanted.namespace)):
        raise HTTPException(400, problem)
    if len(wanted.reason) > LONGEST_REASON or not wanted.reason.isprintable():
        raise HTTPException(400, f"a reason is one line of at most {LONGEST_REASON} characters")
    return wanted


def _who(request: Request) -> str:
    caller: Caller | None = request.scope["state"]["caller"]
    return caller.name if caller else ""


def _refusal(error: NoTarget) -> HTTPException:
    return HTTPException(400 if error.is_malformed else 404, str(error))
