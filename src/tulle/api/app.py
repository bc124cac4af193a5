"""The API's paths. Who may ask for which is in roles.py; every answer, errors too, is JSON.

POST   /v1/enrol, GET /v1/trust          api.enrolment
/v1/tokens...                            api.tokens
POST   /v1/agents/{proxy}                api.agents
GET    /v1/status, /v1/version, /v1/services, /v1/proxies, /v1/proxies/{id}, /v1/proxies/{id}/config    api.views
DELETE /v1/services/{namespace}/{name}   forgets a service that has no live instance
POST   /v1/proxies/{id}/restart?within=SECONDS    a new Envoy takes over from the proxy's old one
POST   /v1/proxies/{id}/weight?weight=N   its program gets another share of the calls
/v1/resources...                         api.resources
POST   /v1/jwt-svids, GET /v1/jwt-keys    api.jwt_svids
POST   /v1/analysis                      api.analysis
/v1/ca...                                api.ca
/v1/authz...                             api.access
POST   /v1/explain/request               api.explaining
/v1/calls..., /v1/tap                     api.calls
/v1/stats, /v1/graph, /v1/callers, /v1/history, /v1/stream    api.figures
/v1/revocations...                       api.revocations
/v1/users...                             api.users
GET    /v1/audit                         api.audit_log
/v1/ui/...                               api.sign_in
POST   /v1/agents/{proxy}/spans, /v1/otlp/v1/traces    api.spans
/v1/traces...                            api.traces
/api/..., /api/v3/...                    api.jaeger, api.jaeger_v3
GET    /metrics, /v1/prometheus/targets  api.prometheus
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from tulle.api import roles
from tulle.api.access import Access
from tulle.api.agents import AgentSessions, WeighingFailed
from tulle.api.analysis import Analysis
from tulle.api.answers import as_json
from tulle.api.audit_log import AuditLog
from tulle.api.ca import CertificateAuthority
from tulle.api.callers import Known, Proof
from tulle.api.calls import CallsApi
from tulle.api.changes import changes_of
from tulle.api.doors import Doors, ServiceInUse, UnknownService
from tulle.api.endpoints import EndpointsApi
from tulle.api.enrolment import Enrolling
from tulle.api.explaining import Explaining
from tulle.api.figures import FiguresApi
from tulle.api.jaeger import Jaeger
from tulle.api.jaeger_v3 import JaegerV3
from tulle.api.jwt_svids import JwtSvids
from tulle.api.logs import LogsApi
from tulle.api.measured import Measured
from tulle.api.prometheus import Prometheus
from tulle.api.registration import MOST_WEIGHT
from tulle.api.resources import Resources
from tulle.api.restarts import RestartFailed
from tulle.api.revocations import RevocationDoor
from tulle.api.sign_in import SigningIn
from tulle.api.spans import Spans
from tulle.api.tokens import Tokens
from tulle.api.traces import TracesApi
from tulle.api.users import UsersApi
from tulle.api.views import RestartView, WeightView
from tulle.identity.attempts import FailedAttempts
from tulle.identity.authority import AuthorityEnded
from tulle.identity.fingerprints import fingerprints
from tulle.model.names import ServiceName, label_problem
from tulle.store.errors import StoreError

MAX_WAIT = 3600.0

_log = logging.getLogger(__name__)


def build_app(doors: Doors) -> Starlette:
    api = _Api(doors)

    def roots() -> tuple[str, ...]:
        return fingerprints(doors.enrolment.bundle_pem)

    endpoints = EndpointsApi(api.sessions.wish)
    routes = [
        Route("/v1/agents/{proxy}", api.sessions, methods=["POST"]),
        Route("/v1/status", api.status),
        Route("/v1/version", api.version),
        Route("/v1/services", api.services),
        Route("/v1/services/{namespace}/{name}", api.forget, methods=["DELETE"]),
        Route("/v1/proxies", api.proxies),
        Route("/v1/proxies/{name}", api.proxy),
        Route("/v1/proxies/{name}/config", api.config),
        Route("/v1/proxies/{name}/restart", api.restart, methods=["POST"]),
        Route("/v1/proxies/{name}/weight", api.weigh, methods=["POST"]),
        *Enrolling(doors.enrolment, doors.attestors, time.monotonic).routes,
        *Tokens(doors.tokens, doors.listening, roots).routes,
        *Resources(doors.declared, doors.force, doors.keys, api.sessions.decisions).routes,
        *Analysis(doors.force).routes,
        *Access(doors.mesh, doors.force, api.sessions.decisions).routes,
        *endpoints.routes,
        *Explaining(doors.mesh, doors.force, endpoints.left_out).routes,
        *CallsApi(doors.force, api.sessions.wish, doors.calls, doors.audit, time.time).routes,
        *FiguresApi(doors.figures, doors.force).routes,
        *LogsApi(doors.force, api.sessions.wish).routes,
        *JwtSvids(doors.mesh, doors.jwt_authority).routes,
        *CertificateAuthority(doors.trusts, lambda: doors.enrolment.ends()).routes,
        *RevocationDoor(doors.revocations, lambda: doors.trusts.ca().revokes).routes,
        *UsersApi(doors.users, doors.listening, roots).routes,
        *AuditLog(doors.audit_log).routes,
        *SigningIn(doors.browsers, doors.users, doors.web, doors.audit, FailedAttempts(time.monotonic)).routes,
        *Spans(doors.mesh, doors.traces).routes,
        *TracesApi(doors.traces).routes,
        *Jaeger(doors.traces).routes,
        *JaegerV3(doors.traces).routes,
        *Prometheus(
            doors.own, lambda: doors.force.mesh().proxies.values(), lambda: api.sessions.count, doors.web
        ).routes,
    ]
    roles.check(routes)
    known = Middleware(
        Known,
        routes=routes,
        proof=Proof(doors.attestation, doors.users, doors.browsers, FailedAttempts(time.monotonic), doors.audit),
        audit=doors.audit,
        clock=time.time,
        revoked=doors.revoked,
        refusals=FailedAttempts(time.monotonic),
    )
    return Starlette(
        routes=routes,
        middleware=[Middleware(Measured, own=doors.own), known],
        exception_handlers={
            HTTPException: _refusal,
            StoreError: _unavailable,
            AuthorityEnded: _unavailable,
            ClientDisconnect: _nobody,
            Exception: _our_mistake,
        },
    )


class _Api:
    def __init__(self, doors: Doors) -> None:
        self._mesh = doors.mesh
        self._agents = doors.agents
        self.sessions = AgentSessions(doors.agents, doors.trusts)

    async def status(self, request: Request) -> Response:
        return as_json(self._mesh.status())

    async def version(self, request: Request) -> Response:
        status = self._mesh.status()
        return as_json({"version": status.version, "envoy": status.envoy})

    async def services(self, request: Request) -> Response:
        return as_json(self._mesh.services())

    async def forget(self, request: Request) -> Response:
        namespace, name = request.path_params["namespace"], request.path_params["name"]
        if problem := label_problem("namespace", namespace) or label_problem("service name", name):
            raise HTTPException(400, problem)
        service = ServiceName(namespace, name)
        known = [one for one in self._mesh.services() if (one.namespace, one.name) == (namespace, name)]
        try:
            await self._agents.forget(service)
        except UnknownService as error:
            raise HTTPException(404, f"there is no service {service}") from error
        except ServiceInUse as error:
            raise HTTPException(409, str(error)) from error
        changes_of(request).add(f"service {service}", before=msgspec.to_builtins(known[0]) if known else None)
        return as_json({"forgotten": str(service)})

    async def proxies(self, request: Request) -> Response:
        return as_json(self._mesh.proxies())

    async def proxy(self, request: Request) -> Response:
        return as_json(_found(self._mesh.proxy(request.path_params["name"]), request))

    async def config(self, request: Request) -> Response:
        return as_json(_found(self._mesh.config(request.path_params["name"]), request))

    async def restart(self, request: Request) -> Response:
        name = request.path_params["name"]
        _found(self._mesh.proxy(name), request)
        seconds, started = _seconds(request.query_params.get("within", "60")), time.monotonic()
        try:
            await self.sessions.restart(name, seconds)
        except RestartFailed as error:
            raise HTTPException(502, str(error)) from error
        changes_of(request).add(f"the Envoy of {name} was replaced")
        with suppress(TimeoutError):  # it serves already; what it does not hold yet it asks for when it is called for
            async with asyncio.timeout(max(0.0, started + seconds - time.monotonic())):
                await self._agents.settled(name)
        return as_json(RestartView(name, round(time.monotonic() - started, 3)))

    async def weigh(self, request: Request) -> Response:
        name, weight = request.path_params["name"], _weight(request.query_params.get("weight", ""))
        _found(self._mesh.proxy(name), request)
        before = [one.weight for service in self._mesh.services() for one in service.instances if one.id == name]
        try:
            await self.sessions.weigh(name, weight)
        except WeighingFailed as error:
            raise HTTPException(502, str(error)) from error
        was = {"weight": before[0]} if before else None
        changes_of(request).add(f"instance {name}", before=was, after={"weight": weight})
        return as_json(WeightView(name, weight))


def _weight(text: str) -> int:
    """Raises a refusal."""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= MOST_WEIGHT):
        raise HTTPException(400, f"weight must be a whole number from 1 to {MOST_WEIGHT}")
    return int(text)


def _seconds(text: str) -> float:
    """Raises a refusal if that is no length of time, or none that anybody waits."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MAX_WAIT:
        raise HTTPException(400, f"within must be more than 0 and at most {MAX_WAIT:g} seconds")
    return seconds


def _found(view: object, request: Request) -> object:
    if view is None:
        raise HTTPException(404, f"there is no proxy {request.path_params['name']}; `tulle proxies` lists them")
    return view


async def _refusal(request: Request, error: Any) -> Response:
    texts = {404: f"there is nothing at {request.url.path}", 405: f"{request.method} is not for {request.url.path}"}
    is_starlettes_own = error.detail in ("Not Found", "Method Not Allowed")
    response = as_json({"error": texts[error.status_code] if is_starlettes_own else error.detail}, error.status_code)
    response.headers.update(error.headers or {})
    return response


async def _nobody(request: Request, error: Exception) -> Response:
    return Response(status_code=400)


async def _unavailable(request: Request, error: Exception) -> Response:
    _log.warning("%s %s: %s", request.method, request.url.path, error)
    return as_json({"error": str(error)}, 503)


async def _our_mistake(request: Request, error: Exception) -> Response:
    # Starlette raises the exception again afterwards, and the server logs it.
    return as_json({"error": "tulle made a mistake; the control plane's log says more"}, 500)
