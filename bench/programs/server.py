"""`python -m bench.programs.server [NEXT]`: a server on $PORT; /slow takes 20 ms; with NEXT it calls that service for each call.

It knows nothing of restarts: SIGTERM ends it at once, whatever it is doing.
"""

from __future__ import annotations

import http.client
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_SLOW_SECONDS = 0.02
_local = threading.local()


class Handler(BaseHTTPRequestHandler):
    """Answers with what it was sent, or with the path."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # else an answer is two packets, and the second waits for an acknowledgement of the first
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer(self.path.encode())

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, format: str, *values: object) -> None:
        pass

    def _answer(self, body: bytes) -> None:
        if self.path == "/slow":
            time.sleep(_SLOW_SECONDS)
        status = 200
        if len(sys.argv) > 1:
            try:
                body = passed_on(sys.argv[1], self.command, self.path, body)
            except (OSError, http.client.HTTPException) as error:
                status, body = 500, f"{sys.argv[1]}: {error!r}".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def passed_on(service: str, method: str, path: str, body: bytes) -> bytes:
    """The answer of the next service, over a connection that each thread keeps open. Raises OSError if it is not 200."""
    connection = getattr(_local, "connection", None)
    if connection is None:
        connection = _local.connection = http.client.HTTPConnection(service, timeout=30)
    try:
        connection.request(method, path, body if method == "POST" else None)
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise OSError(f"{response.status} {answer[:200].decode(errors='replace')}")
    except (OSError, http.client.HTTPException):
        connection.close()
        raise
    return bytes(answer)


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


if __name__ == "__main__":
    _Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
