"""Clients of HTTP: a call that is made for a request goes on with that request's context, if it is plain and has none.

Each hook is where the call goes to the wire, after whatever tracers and the program have added, and changes nothing that is used
again: a redirect to another host, or a request object sent twice, is looked at anew. A call by TLS is left alone: no sidecar
can see its headers, and it goes outside of the mesh.
"""

from __future__ import annotations

from copy import copy

from . import context
from .hooks import Hook, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from .context import Served
    from .hooks import Function

_TLS_PORT = 443
_LINES = tuple((name, f"\r\n{name}:".encode()) for name in context.NAMES)


def http_client(module: ModuleType) -> None:
    """http.client, and with it urllib, urllib3, requests and whatever else stands on it."""
    replace(module.HTTPConnection, "endheaders", _ending_headers)


def httpcore(module: ModuleType) -> None:
    """What httpx stands on."""
    replace(module.ConnectionPool, "handle_request", _handling)
    replace(module.AsyncConnectionPool, "handle_async_request", _handling_async)


def aiohttp_client(module: ModuleType) -> None:
    replace(module.ClientRequest, "send", _sending)


def _ending_headers(original: Function, hook: Hook) -> Function:
    def endheaders(self: Any, *args: Any, **kwargs: Any) -> Any:
        if hook.on:
            try:
                served = context.to_pass_on()
                if served is not None and self.default_port != _TLS_PORT:
                    _to_buffer(self._buffer, served, self.host)
            except Exception:
                hook.off()
        return original(self, *args, **kwargs)

    return endheaders


def _to_buffer(lines: list[bytes], served: Served, connected: str) -> None:
    """lines: the request's so far. connected: a proxy's name perhaps, while the header names the host."""
    text = b"\r\n".join(lines).lower()
    present = [name for name, start in _LINES if start in text]
    _, found, rest = text.partition(b"\r\nhost:")
    host = rest.partition(b"\r\n")[0].strip().decode("latin-1") if found else connected
    lines.extend(f"{name}: {value}".encode("latin-1") for name, value in context.added(served, present, host))


def _with_context(request: Any, hook: Hook) -> Any:
    """httpcore's request, or a copy that has more headers."""
    try:
        served = context.to_pass_on()
        if served is None or request.url.scheme != b"http":
            return request
        present = {name.lower().decode("latin-1") for name, _ in request.headers}
        headers = context.added(served, present, request.url.host.decode("latin-1"))
        if not headers:
            return request
        request = copy(request)
        request.headers = [*request.headers, *((name.encode(), value.encode()) for name, value in headers)]
    except Exception:
        hook.off()
    return request


def _handling(original: Function, hook: Hook) -> Function:
    def handle_request(self: Any, request: Any) -> Any:
        return original(self, _with_context(request, hook) if hook.on else request)

    return handle_request


def _handling_async(original: Function, hook: Hook) -> Function:
    async def handle_async_request(self: Any, request: Any) -> Any:
        return await original(self, _with_context(request, hook) if hook.on else request)

    return handle_async_request


def _sending(original: Function, hook: Hook) -> Function:
    async def send(self: Any, *args: Any, **kwargs: Any) -> Any:
        if hook.on:
            try:
                served = context.to_pass_on()
                if served is not None and self.url.scheme in ("http", "ws"):
                    # These are the request's own: a redirect, or another try, has a new one.
                    for name, value in context.added(served, self.headers, self.url.host or ""):
                        self.headers[name] = value
            except Exception:
                hook.off()
        return await original(self, *args, **kwargs)

    return send
