"""What a caller's sidecar counts, with the routes that it gets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from one_envoy import OneEnvoy, Server, at, locality, one_envoy
from route_cases import forward, host, ref, route
from tulle.ir.routes import Redirect
from tulle.ir.types import Answer
from tulle.translate import names

_MESSAGE = b"\0\0\0\0\1x"
_ROUTE = route(forward("one"), name="canary")


@pytest.fixture
def envoy(tmp_path: Path) -> Iterator[OneEnvoy]:
    server = Server("one")
    hosts = [
        host("web", _ROUTE),
        replace(host("rpc", replace(_ROUTE, name="", place="spec.http[0]")), grpc=True),
        replace(host("moved", route(Redirect("/there", code=302))), is_known=True),
        replace(host("no-port"), answer=Answer.UNKNOWN, is_known=True),
        replace(host("nobody"), answer=Answer.UNKNOWN),
    ]
    try:
        with one_envoy(tmp_path, hosts, {names.backend(ref("one")): [locality(at(server.port))]}) as running:
            yield running
    finally:
        server.shutdown()
        server.server_close()


def test_figures_name_the_document_and_its_route(envoy: OneEnvoy) -> None:
    for name, called in {"web": "canary", "rpc": "spec.http[0]"}.items():
        assert envoy.call(name).status_code == 200
        assert _one(envoy, "requests_total", called) == 1


def test_what_the_sidecar_answers_itself_is_counted_for_whom_it_was_meant_where_there_is_such_a_service(
    envoy: OneEnvoy,
) -> None:
    for name, cluster in {
        "web": names.backend(ref("one")),
        "moved": "moved.default.svc.cluster.local:80",
        "no-port": "no-port.default.svc.cluster.local:",
        "nobody": "",  # which only its caller says
    }.items():
        envoy.call(name)
        seen = [stat for stat in envoy.stats("istio.requests_total") if f"cluster={cluster};" in stat]
        assert len(seen) == 1, (name, envoy.stats("istio.requests_total"))


def test_what_is_no_http_is_counted_as_well(envoy: OneEnvoy) -> None:
    with socket.create_connection(("127.0.0.1", envoy.port), 5) as client:
        client.sendall(b"hello\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 400")
        while client.recv(1000):
            pass
    assert _one(envoy, "requests_total", "response_code=400;response_flags=DPE") == 1


def test_messages_are_counted_where_a_port_is_of_grpc(envoy: OneEnvoy) -> None:
    for name in ("web", "rpc"):
        envoy.call(name, "/a.B/C", "POST", headers={"content-type": "application/grpc"}, content=_MESSAGE * 2)
    assert _one(envoy, "request_messages_total", "messages=2,0") == 1


def test_a_status_of_grpc_that_means_nothing_is_unknown(envoy: OneEnvoy) -> None:
    for status in ("0", "16", "17", "12345", "-1", "x"):
        envoy.call("web", f"/?grpc={status}", "POST", headers={"content-type": "application/grpc"}, content=_MESSAGE)
    seen = envoy.stats("istio.requests_total")
    assert {name.partition("grpc_status.")[2].partition(".")[0] for name in seen} == {"0", "16", "2"}
    assert sum(seen.values()) == 6


def _one(envoy: OneEnvoy, stat: str, part: str) -> int:
    """The value of the only one with that in its tags."""
    [value] = [value for name, value in envoy.stats(f"istio.{stat}").items() if part in name]
    return value
