"""Services that decide on requests, over HTTP and over gRPC: each by the path of the request that it is asked about."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import grpc

from tulle.envoy_api.messages import message

SLOW_SECONDS = 1.0
# What is answered beside the verdict, allowed or denied.
HEADERS = {"x-user": "alice", "x-team-a": "1", "b-x-end": "2", "x-hidden": "secret"}


class Deciding:
    """asked: the requests that it was asked about, as they came, the newest last."""

    def __init__(self, port: int, asked: list[Any]) -> None:
        self.port, self.asked = port, asked


@contextmanager
def over_http() -> Iterator[Deciding]:
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked.append({"path": self.path, "method": self.command, "headers": headers, "body": body})
            path = urlsplit(self.path).path
            if path.endswith("/slow"):
                time.sleep(SLOW_SECONDS)
            text = b'{"why": "not you"}' if path.endswith("/denied") else b""
            self.send_response(418 if text else 500 if path.endswith("/broken") else 200)
            for name, value in HEADERS.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(text)))
            with suppress(BrokenPipeError, ConnectionResetError):  # who has waited for too long is gone
                self.end_headers()
                self.wfile.write(text)

        do_GET = do_POST = _answer

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield Deciding(server.server_address[1], asked)
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def over_grpc() -> Iterator[Deciding]:
    """A connection is allowed to `caller` alone."""
    asked: list[Any] = []
    request, response = (message(f"envoy.service.auth.v3.Check{kind}") for kind in ("Request", "Response"))

    def check(given: Any, context: Any) -> Any:
        asked.append(given.attributes)
        http = given.attributes.request.http
        path = urlsplit(http.path).path
        if path == "/slow":
            time.sleep(SLOW_SECONDS)
        if path == "/broken":
            context.abort(grpc.StatusCode.INTERNAL, "broken")
        is_denied = path == "/denied" or (not path and not given.attributes.source.principal.endswith("/caller"))
        added = [{"header": {"key": name, "value": value}} for name, value in HEADERS.items()]
        if is_denied:
            denied = {"status": {"code": 418}, "headers": added, "body": '{"why": "not you"}'}
            return response(status={"code": 7}, denied_response=denied)
        return response(status={"code": 0}, ok_response={"headers": added})

    handler = grpc.unary_unary_rpc_method_handler(check, request.FromString, response.SerializeToString)
    service = grpc.method_handlers_generic_handler("envoy.service.auth.v3.Authorization", {"Check": handler})
    server = grpc.server(ThreadPoolExecutor(4), handlers=(service,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield Deciding(port, asked)
    finally:
        server.stop(None).wait()
