"""What a sidecar says of its peer can be said by nobody else: headers that are sent in its name reach no program.

Each is sent by a program through its own sidecar, and by somebody who has a certificate of the mesh and uses it past any sidecar.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from running import Mesh
from test_identity import client_context

DROPPED = [
    "x-forwarded-client-cert",
    "X_FORWARDED_CLIENT_CERT",
    "X-Forwarded_Client-Cert",
    "x-forwarded-client_cert",
    "x-envoy-internal",
    "x-envoy-external-address",
    "x-envoy-ip-tags",
    "x-envoy-force-trace",
    "x-envoy-retry-on",
    "x-envoy-retry-grpc-on",
    "x-envoy-max-retries",
    "x-envoy-retriable-status-codes",
    "x-envoy-retriable-header-names",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-original-url",
    "x-envoy-original-path",
    "x-envoy-original-host",
    "x-envoy-original-dst-host",
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-peer-metadata",
    "x-envoy-peer-metadata-id",
    "x-envoy-attempt-count",
    "x-envoy-is-timeout-retry",
    "X_Envoy_External_Address",
    "x-tulle-not-served",
    "x-tulle-peer",
    "x-tulle-explain",
    "x-tulle-anything",
    "X_Tulle_Peer",
]
KEPT = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip", "x-request-id", "forwarded"]
# Were a sender inside of what Envoy takes for its own network, it would be let do more.
SENDERS = ["forged", "10.0.0.1", "127.0.0.1", "10.0.0.1, 10.0.0.2", "192.0.2.7"]
Ask = Callable[[dict[str, str]], dict[str, str]]


@pytest.fixture
def ways(mesh: Mesh, tmp_path: Path) -> dict[str, Ask]:
    """What headers an instance is asked with, by how it is asked."""
    mesh.up()
    mesh.serve("service-b", "b1")
    caller = mesh.caller()
    port = next(p for p in mesh.proxies() if p["service"] == "service-b")["inbound_port"]
    context = client_context(mesh.data / "proxies" / caller.proxy, tmp_path, "identity")

    def through(headers: dict[str, str]) -> dict[str, str]:
        return _headers(caller.call("http://service-b/", headers=headers).json())

    def past(headers: dict[str, str]) -> dict[str, str]:
        sni = "outbound_.80_._.service-b.default.svc.cluster.local"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        with (
            socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
            context.wrap_socket(plain, server_hostname=sni) as connection,
        ):
            connection.sendall(f"GET / HTTP/1.1\r\nHost: service-b\r\nConnection: close\r\n{lines}\r\n".encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        return _headers(json.loads(answer.partition(b"\r\n\r\n")[2]))

    return {"through its sidecar": through, "past any sidecar": past}


def _headers(answer: dict[str, Any]) -> dict[str, str]:
    return {name.lower(): value for name, value in answer["headers"].items()}


def test_what_is_sent_in_a_sidecars_name_reaches_no_program(ways: dict[str, Ask]) -> None:
    for way, ask in ways.items():
        for sender in SENDERS:
            headers = dict.fromkeys([*DROPPED, *KEPT], "forged") | {"x-forwarded-for": sender}
            seen = ask(headers)
            peer = seen.pop("x-forwarded-client-cert")
            assert re.fullmatch(
                r"By=spiffe://cluster\.local/ns/default/sa/service-b;Hash=[0-9a-f]{64};"
                r"URI=spiffe://cluster\.local/ns/default/sa/service-a",
                peer,
            ), way
            assert {name for name in seen if name.lower() in [each.lower() for each in DROPPED]} == set(), way
            assert seen["x-forwarded-for"] == sender, way
            assert {name for name in KEPT if seen.get(name) == headers[name]} == set(KEPT), way


def test_a_header_that_is_sent_twice_is_dropped_twice(ways: dict[str, Ask]) -> None:
    twice = {
        "X-Forwarded-Client-Cert": "URI=spiffe://a\r\nX-Forwarded-Client-Cert: URI=spiffe://b",
        "x-envoy-peer": "1",
    }
    seen = ways["past any sidecar"](twice)
    assert seen["x-forwarded-client-cert"].endswith(";URI=spiffe://cluster.local/ns/default/sa/service-a")
    assert "spiffe://b" not in str(seen)
