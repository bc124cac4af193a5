"""The Workload API's five calls, over gRPC on a Unix socket.

Source: SPIFFE Workload API standard, sections 5 (X.509-SVID profile) and 6 (JWT-SVID profile); SPIFFE Workload Endpoint, sections
4.1 (the header that keeps out what a proxy was tricked into sending) and 6 (errors).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from tulle.identity.jwt_authority import audience_problem
from tulle.workload_api import jwt_svid
from tulle.workload_api.agent import Agent, Unanswered
from tulle.workload_api.credentials import Credentials, trust_domain
from tulle.workload_api.messages import SERVICE, message
from tulle.workload_api.news import Newest
from tulle.xds.grpc_library import aio, grpc

_HEADER = ("workload.spiffe.io", "true")
_REFRESH_SECONDS = 30.0


def server(credentials: Newest[Credentials], agent: Agent) -> Any:
    """A server without a port."""
    calls = _Calls(credentials, agent)
    made = aio.server()
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, calls.handlers()),))
    return made


class _Calls:
    def __init__(self, credentials: Newest[Credentials], agent: Agent) -> None:
        self._credentials = credentials
        self._agent = agent

    def handlers(self) -> dict[str, Any]:
        return {
            "FetchX509SVID": _stream(self._x509_svid, "X509SVIDRequest"),
            "FetchX509Bundles": _stream(self._x509_bundles, "X509BundlesRequest"),
            "FetchJWTSVID": _unary(self._jwt_svid, "JWTSVIDRequest"),
            "FetchJWTBundles": _stream(self._jwt_bundles, "JWTBundlesRequest"),
            "ValidateJWTSVID": _unary(self._validate, "ValidateJWTSVIDRequest"),
        }

    async def _x509_svid(self, _request: Any, _context: Any) -> AsyncIterator[Any]:
        async for now in self._credentials.each():
            svid = message("X509SVID")(
                spiffe_id=now.spiffe_id, x509_svid=now.chain, x509_svid_key=now.key, bundle=now.bundle
            )
            yield message("X509SVIDResponse")(svids=[svid], crl=now.crls)

    async def _x509_bundles(self, _request: Any, _context: Any) -> AsyncIterator[Any]:
        async for now in self._credentials.each():
            yield message("X509BundlesResponse")(crl=now.crls, bundles={trust_domain(): now.bundle})

    async def _jwt_svid(self, request: Any, context: Any) -> Any:
        mine = (await self._credentials.newest()).spiffe_id
        if problem := audience_problem(request.audience):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, problem)
        if request.spiffe_id not in ("", mine):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"this workload is {mine}")
        token = await self._asked(context, "jwt_svid", audience=list(request.audience))
        return message("JWTSVIDResponse")(svids=[message("JWTSVID")(spiffe_id=mine, svid=token)])

    async def _jwt_bundles(self, _request: Any, context: Any) -> AsyncIterator[Any]:
        told = None
        while True:
            keys = await self._asked(context, "jwt_keys")
            if keys != told:
                told = keys
                yield message("JWTBundlesResponse")(bundles={trust_domain(): keys.encode()})
            await asyncio.sleep(_REFRESH_SECONDS)

    async def _validate(self, request: Any, context: Any) -> Any:
        if not request.audience:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "say which audience must be named")
        keys = await self._asked(context, "jwt_keys")
        try:
            claims = jwt_svid.validated(request.svid, request.audience, keys)
        except jwt_svid.Invalid as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        answer = message("ValidateJWTSVIDResponse")(spiffe_id=claims["sub"])
        answer.claims.update(claims)
        return answer

    async def _asked(self, context: Any, what: str, **more: Any) -> str:
        try:
            return str(await self._agent.ask(what, **more))
        except Unanswered as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
            raise


def _stream(call: Callable[[Any, Any], AsyncIterator[Any]], kind: str) -> Any:
    async def guarded(request: Any, context: Any) -> AsyncIterator[Any]:
        await _meant_for_us(context)
        async for answer in call(request, context):
            yield answer

    return grpc.unary_stream_rpc_method_handler(guarded, message(kind).FromString, _encoded)


def _unary(call: Callable[[Any, Any], Any], kind: str) -> Any:
    async def guarded(request: Any, context: Any) -> Any:
        await _meant_for_us(context)
        return await call(request, context)

    return grpc.unary_unary_rpc_method_handler(guarded, message(kind).FromString, _encoded)


def _encoded(value: Any) -> bytes:
    encoded: bytes = value.SerializeToString()
    return encoded


async def _meant_for_us(context: Any) -> None:
    if _HEADER not in tuple((key, value) for key, value in context.invocation_metadata() or ()):
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "security header missing from request")
