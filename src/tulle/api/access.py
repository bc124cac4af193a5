"""`POST /v1/authz/check` and `GET /v1/authz/guards`: who may do what, by the configuration that proxies are given.

Both only look. Nothing of a question is kept or logged: it may have claims in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tulle.api.access_shown import Shown
from tulle.api.access_views import CallView, CheckView, GuardsView
from tulle.api.answers import as_json
from tulle.api.bodies import MALFORMED, body_of
from tulle.api.decisions import Heard
from tulle.api.doors import Force, Mesh
from tulle.model.ip import is_address
from tulle.model.names import DEFAULT_NAMESPACE, DEFAULT_PORT, ServiceName, label_problem
from tulle.resolve.access.asking import Answer, From, answer, caller
from tulle.resolve.access.calls import Written
from tulle.resolve.access.doors import Door, Unknown, doors, service
from tulle.translate import names

_call = msgspec.json.Decoder(CallView)


class Access:
    """decisions: by proxy, what its agent has told."""

    def __init__(self, mesh: Mesh, force: Force, decisions: Callable[[], Mapping[str, Heard]]) -> None:
        self._mesh, self._force, self._decisions = mesh, force, decisions

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/v1/authz/check", self.check, methods=["POST"]),
            Route("/v1/authz/guards", self.explain),
        ]

    async def check(self, request: Request) -> Response:
        try:
            asked = _call.decode(await body_of(request))
        except MALFORMED as error:
            raise HTTPException(400, f"this is no call to check: {error}") from error
        if asked.source_ip and not is_address(asked.source_ip):
            raise HTTPException(400, f"{asked.source_ip!r} is no IP address")
        mesh = self._force.mesh()
        try:
            by = caller(mesh, asked.caller, _namespace(asked.namespace))
            to = service(mesh, asked.service, asked.namespace).name
            found = doors(mesh, to, asked.port or None)
        except Unknown as error:
            raise HTTPException(404, str(error)) from error
        written = _written(asked, to, found[0].port.destination.port)
        shown = Shown(mesh.declared.resources)
        answers = [
            shown.answer(door, _answer(door, by, asked.source_ip, written), self._pending(door.proxies))
            for door in found
        ]
        port = found[0].port.destination.port
        allowed = all(each.allowed for each in answers)
        return as_json(CheckView(by.principal, str(to), port, allowed, answers))

    async def explain(self, request: Request) -> Response:
        namespace = _namespace(request.query_params.get("namespace", DEFAULT_NAMESPACE))
        port = request.query_params.get("port", "")
        if port and not (port.isascii() and port.isdigit() and len(port) < 6):
            raise HTTPException(400, "port must be a number")
        mesh = self._force.mesh()
        try:
            there = service(mesh, request.query_params.get("service", ""), namespace)
            known = [one.number for one in there.ports]
            offered = {one.number for instance in there.instances for one in instance.workload.ports}
            numbers = [int(port)] if port else [number for number in known if number in offered] or known
            found = [door for number in numbers for door in doors(mesh, there.name, number)]
        except Unknown as error:
            raise HTTPException(404, str(error)) from error
        shown = Shown(mesh.declared.resources, self._decisions())
        guards = [shown.guard(door, self._pending(door.proxies)) for door in found]
        return as_json(GuardsView(str(there.name), guards))

    def _pending(self, proxies: Iterable[str]) -> list[str]:
        """Those that do not yet, or do no longer, hold what the answer is made of."""
        seen = ((proxy, self._mesh.proxy(proxy)) for proxy in proxies)
        return [proxy for proxy, view in seen if view is None or not view.in_sync or view.rejected]


def _answer(door: Door, by: From, source_ip: str, written: Written) -> Answer:
    return answer(door, by, source_ip, names.sni(door.port.destination), written)


def _written(asked: CallView, to: ServiceName, port: int) -> Written:
    host = asked.host or (str(to) if port == DEFAULT_PORT else f"{to}:{port}")
    return Written(asked.method, asked.path, host, tuple(asked.headers), asked.claims)


def _namespace(text: str) -> str:
    if problem := label_problem("namespace", text):
        raise HTTPException(400, problem)
    return text
