"""Servers of HTTP: the request that is being served is known to all code that runs for it.

A server's hook is around all of a request, its streamed answer included. Those of frameworks are for servers that have none
(uWSGI, waitress, daphne, …), and keep out of the way where a server's has been there already.
"""

from __future__ import annotations

from . import context
from .hooks import Hook, replace, serving, serving_async

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType
    from typing import Any

    from .context import Served
    from .hooks import Function


def http_server(module: ModuleType) -> None:
    """http.server, and with it wsgiref, werkzeug's and Django's development servers."""
    handler = module.BaseHTTPRequestHandler
    replace(handler, "parse_request", _parsing)
    if "finish" not in vars(handler):  # inherited, and other servers are to keep theirs
        handler.finish = _finish(handler)


def gunicorn_sync(module: ModuleType) -> None:
    replace(
        module.SyncWorker,
        "handle_request",
        serving(lambda worker, listener, request, *rest: context.of_pairs(request.headers)),
    )


def gunicorn_threads(module: ModuleType) -> None:
    replace(
        module.ThreadWorker,
        "handle_request",
        serving(lambda worker, request, *rest: context.of_pairs(request.headers)),
    )


def gunicorn_async(module: ModuleType) -> None:
    replace(
        module.AsyncWorker,
        "handle_request",
        serving(lambda worker, listener, request, *rest: context.of_pairs(request.headers)),
    )


def uvicorn_http(module: ModuleType) -> None:
    replace(module.RequestResponseCycle, "run_asgi", serving_async(_of_scope_of))


def uvicorn_websockets(module: ModuleType) -> None:
    for name in ("WebSocketProtocol", "WebSocketsSansIOProtocol", "WSProtocol"):
        if hasattr(module, name):
            replace(getattr(module, name), "run_asgi", serving_async(_of_scope_of))


def hypercorn(module: ModuleType) -> None:
    for name in ("ASGIWrapper", "WSGIWrapper"):
        replace(getattr(module, name), "__call__", serving_async(_of_scope))


def aiohttp_server(module: ModuleType) -> None:
    replace(
        module.RequestHandler,
        "_handle_request",
        serving_async(lambda handler, request, *rest, **more: context.of_pairs(request.headers.items())),
    )


def flask(module: ModuleType) -> None:
    replace(module.Flask, "__call__", _wsgi)


def django_wsgi(module: ModuleType) -> None:
    replace(module.WSGIHandler, "__call__", _wsgi)


def starlette(module: ModuleType) -> None:
    replace(module.Starlette, "__call__", _asgi)


def django_asgi(module: ModuleType) -> None:
    replace(module.ASGIHandler, "__call__", _asgi)


def _parsing(original: Function, hook: Hook) -> Function:
    """A connection has one handler; each request on it is parsed in its turn, and then served in the same thread."""

    def parse_request(self: Any) -> Any:
        if not hook.on:
            return original(self)
        _end_of(self)
        parsed = original(self)
        if parsed:
            try:
                vars(self)["_tulle_served"] = served = context.of_pairs(self.headers.items())
                context.enter(served)
            except Exception:
                hook.off()
        return parsed

    return parse_request


def _finish(handler: Any) -> Function:
    def finish(self: Any) -> None:
        _end_of(self)
        super(handler, self).finish()

    return finish


def _end_of(handler: Any) -> None:
    # A handler may have its own answer to any name that it is asked for.
    context.end(vars(handler).get("_tulle_served"))
    context.enter(None)


def _of_scope_of(cycle: Any, *rest: Any) -> Served | None:
    return context.of_pairs(cycle.scope["headers"])


def _of_scope(app: Any, scope: Any, *rest: Any, **more: Any) -> Served | None:
    return context.of_pairs(scope.get("headers") or ())  # none in the scope of an application's life


def _asgi(original: Function, hook: Hook) -> Function:
    # Its parameters are the original's: uvicorn tries whether an application can be called without any.
    async def call(self: Any, scope: Any, receive: Any, send: Any) -> Any:
        try:
            served = _of_scope(self, scope) if hook.on else None
        except Exception:
            hook.off()
            served = None
        if not hook.on or context.is_entered(served):
            return await original(self, scope, receive, send)
        token = context.enter(served)
        try:
            return await original(self, scope, receive, send)
        finally:
            context.end(served)
            context.leave(token)

    return call


def _wsgi(original: Function, hook: Hook) -> Function:
    def call(self: Any, environ: Any, start_response: Any) -> Any:
        if not hook.on:
            return original(self, environ, start_response)
        try:
            served = context.of_environ(environ)
        except Exception:
            hook.off()
            served = None
        if context.is_entered(served):
            return original(self, environ, start_response)
        token = context.enter(served)
        try:
            body = original(self, environ, start_response)
        except BaseException:
            context.end(served)
            raise
        finally:
            context.leave(token)
        if isinstance(body, (list, tuple)) or _is_file(body, environ):
            context.end(served)
            return body
        return _Body(body, served)

    return call


def _is_file(body: Any, environ: Any) -> bool:
    """Whether the server is to see it as it is (PEP 3333, `wsgi.file_wrapper`). uWSGI's wrapper gives the file itself back."""
    wrapper = environ.get("wsgi.file_wrapper")
    return (isinstance(wrapper, type) and isinstance(body, wrapper)) or hasattr(body, "read")


class _Body:
    """The answer's body, made piece by piece: each piece within its request, and the server's own work without it."""

    def __init__(self, body: Any, served: Served | None) -> None:
        self._body = body
        self._pieces = None
        self._served = served

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        token = context.enter(self._served)
        try:
            if self._pieces is None:
                self._pieces = iter(self._body)
            return next(self._pieces)  # type: ignore[call-overload]
        finally:
            context.leave(token)

    def close(self) -> None:
        token = context.enter(self._served)
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            context.end(self._served)
            context.leave(token)
