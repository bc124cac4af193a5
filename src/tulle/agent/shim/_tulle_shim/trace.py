"""What is hooked in to pass on a trace's context, and where: START HERE. Nothing is loaded before the program imports it."""

from __future__ import annotations

from importlib import import_module

from .imports import when_imported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

# The program's module, and the file and function in here that change it.
_HOOKS = {
    "http.server": "servers.http_server",
    "gunicorn.workers.sync": "servers.gunicorn_sync",
    "gunicorn.workers.gthread": "servers.gunicorn_threads",
    "gunicorn.workers.base_async": "servers.gunicorn_async",
    "uvicorn.protocols.http.h11_impl": "servers.uvicorn_http",
    "uvicorn.protocols.http.httptools_impl": "servers.uvicorn_http",
    "uvicorn.protocols.websockets.websockets_impl": "servers.uvicorn_websockets",
    "uvicorn.protocols.websockets.websockets_sansio_impl": "servers.uvicorn_websockets",
    "uvicorn.protocols.websockets.wsproto_impl": "servers.uvicorn_websockets",
    "hypercorn.app_wrappers": "servers.hypercorn",
    "aiohttp.web_protocol": "servers.aiohttp_server",
    "flask.app": "servers.flask",
    "django.core.handlers.wsgi": "servers.django_wsgi",
    "django.core.handlers.asgi": "servers.django_asgi",
    "starlette.applications": "servers.starlette",
    "http.client": "clients.http_client",
    "httpcore": "clients.httpcore",
    "aiohttp.client_reqrep": "clients.aiohttp_client",
    "grpc": "rpc.grpc",
    "grpc.aio": "rpc.grpc_aio",
    "threading": "threads.thread",
    "concurrent.futures.thread": "threads.executor",
    "concurrent.futures.process": "threads.executor_of_processes",
    "multiprocessing.pool": "threads.pool",
}


def install() -> None:
    for name, place in _HOOKS.items():
        when_imported(name, _Change(place))


class _Change:
    def __init__(self, place: str) -> None:
        self._file, _, self._function = place.partition(".")

    def __call__(self, module: ModuleType) -> None:
        getattr(import_module(f".{self._file}", __package__), self._function)(module)
