"""What one request and one call cost in a program, in nanoseconds, as JSON; started with the shim and without."""

import http.client
import json
import sys
from collections.abc import Callable
from importlib import import_module
from timeit import repeat

TIMES = int(sys.argv[1])
HEADERS = (("Accept-Encoding", "gzip"), ("User-Agent", "python-requests/2.32"), ("Accept", "*/*"))
RECEIVED = [
    *(("HOST", "web"), ("USER-AGENT", "python-requests/2.32"), ("ACCEPT", "*/*"), ("X-FORWARDED-PROTO", "http")),
    ("TRACEPARENT", f"00-{'1' * 32}-{'2' * 16}-01"),
    ("X-REQUEST-ID", "3ec0d7e8-1fd5-9a5f-8d3a-5d5b1c9a4f10"),
]


class Nowhere:
    def sendall(self, data: bytes) -> None:
        pass


def call() -> None:
    connection = http.client.HTTPConnection("service-b")
    connection.sock = Nowhere()
    connection.putrequest("GET", "/data")
    for header in HEADERS:
        connection.putheader(*header)
    connection.endheaders()


def best(function: Callable[[], None]) -> float:
    return min(repeat(function, number=TIMES, repeat=9)) / TIMES * 1e9


measured = {"call": best(call)}
if "_tulle_shim" in sys.modules:
    context = import_module("_tulle_shim.context")

    def serve() -> None:
        served = context.of_pairs(RECEIVED)
        token = context.enter(served)
        context.end(served)
        context.leave(token)

    measured["served"] = best(serve)
    context.enter(context.of_pairs(RECEIVED))
    measured["call for a request"] = best(call)
print(json.dumps(measured))
