"""Requests that a program serves and calls that it makes for them: one context goes through, and never another's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

Serving = Callable[..., Any]
CONTEXT = {
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "vendor=1",
    "x-b3-traceid": "0af7651916cd43dd8448eb211c80319c",
    "x-request-id": "3ec0d7e8-1fd5-9a5f-8d3a-5d5b1c9a4f10",
}
SERVERS = [
    *("http_server", "wsgiref", "gunicorn", "gunicorn_threads", "uvicorn", "hypercorn", "starlette", "fastapi"),
    *("flask", "flask_alone", "django", "django_asgi", "aiohttp"),
]
# One connection, one request: gunicorn's sync workers, and HTTP/1.0.
CLOSING = ("gunicorn", "wsgiref", "flask")


def context_of(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name in CONTEXT}


def numbered(number: int) -> dict[str, str]:
    return {"traceparent": f"00-{number:032x}-{number:016x}-01"}


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_passes_on_the_context_of_each_request_and_of_no_other(server: str, serving: Serving) -> None:
    relay = serving(server)
    assert context_of(relay.call(**CONTEXT)) == CONTEXT
    connection = relay.connection()
    for expected in (CONTEXT, {}, numbered(7), {}):
        assert context_of(relay.call(connection=connection, **expected)) == expected
    connection.close()
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(relay.call, **(numbered(n) if n % 3 else {})) for n in range(1, 40)]
    assert [context_of(call.result()) for call in calls] == [numbered(n) if n % 3 else {} for n in range(1, 40)]


SYNC = ("urllib", "http_client", "requests", "urllib3", "httpx", "thread", "pool", "map")
ASYNC = ("aiohttp", "async_httpx", "to_thread", "run_in_executor", "task")


def test_every_client_passes_the_context_on(serving: Serving) -> None:
    relay = serving("starlette")
    for client in (*SYNC, *ASYNC):
        assert (client, context_of(relay.call(client, **CONTEXT))) == (client, CONTEXT)
        assert (client, context_of(relay.call(client))) == (client, {})
    for client in (*SYNC, *ASYNC):  # a view that the framework runs in a thread of its own
        assert (client, context_of(relay.call(client, path="/thread", **CONTEXT))) == (client, CONTEXT)
        assert (client, context_of(relay.call(client, path="/thread"))) == (client, {})


def test_a_call_that_a_tracer_has_given_a_context_keeps_it(serving: Serving) -> None:
    got = serving("http_server").call("tracer", **CONTEXT)
    assert got["traceparent"] == f"00-{'f' * 32}-{'f' * 16}-01"
    assert set(context_of(got)) == {"traceparent", "x-request-id"}


def test_without_the_shim_nothing_is_passed_on(serving: Serving) -> None:
    assert context_of(serving("http_server", TULLE_SHIM="").call(**CONTEXT)) == {}
