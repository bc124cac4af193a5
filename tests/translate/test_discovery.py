"""Backends that Envoy finds by itself."""

from __future__ import annotations

from contextlib import suppress
from http.client import HTTPException

import pytest

from policy_mesh import Mesh, plain
from tulle.ir.policies import ConnectionPool, Policy
from tulle.ir.types import Discovery, Endpoint, Locality


@pytest.mark.parametrize("discovery", [Discovery.DNS, Discovery.DNS_ROUND_ROBIN])
async def test_endpoints_by_dns(running: Mesh, discovery: Discovery) -> None:
    program = await running.program("a")
    places = (Locality(0, "", (Endpoint("localhost", program.port),)),)
    backend = plain(Policy(), discovery=discovery, localities=places)
    assert not backend.told
    await running.start(backend)
    answer = await running.call(backend, headers=["X-Case: Kept"])
    assert answer.text == "a"
    assert "x-case" in program.requests[0]


async def test_what_is_spoken_to_programs_without_sidecars(running: Mesh) -> None:
    """HTTP/1.1, but where a rule or the port says HTTP/2; or what the caller speaks."""
    program = await running.program("a")
    backends = [
        plain(Policy(), subset="http1"),
        plain(Policy(), subset="http2", http2=True),
        plain(Policy(pool=ConnectionPool(http2=True)), subset="upgraded"),
        plain(Policy(pool=ConnectionPool(http2=False)), subset="kept", http2=True),
        plain(Policy(pool=ConnectionPool(use_client_protocol=True)), subset="callers", http2=True),
    ]
    for backend in backends:
        running.tell(backend, Locality(0, "", (Endpoint("127.0.0.1", program.port),)))
    await running.start(*backends)
    for backend in backends:
        program.requests.clear()
        if backend.subset in ("http1", "kept", "callers"):
            assert (await running.call(backend)).text == "a"
            assert program.requests[0][":line"] == "GET / HTTP/1.1"
        else:
            await running.call(backend)
            assert program.requests[0][":line"] == "PRI * HTTP/2.0"


async def test_tcp_goes_through_a_tunnel(running: Mesh) -> None:
    """The proxy to which it leads is asked to connect; this one answers everything with 200 and its name."""
    proxy = await running.program("proxy")
    both = [plain(Policy(tunnel=(how, "far.example:443")), tcp=True, subset=how) for how in ("CONNECT", "POST")]
    for backend in both:
        running.tell(backend, Locality(0, "", (Endpoint("127.0.0.1", proxy.port),)))
    await running.start(*both)
    for backend, line in zip(both, ("CONNECT far.example:443 HTTP/1.1", "POST / HTTP/1.1"), strict=True):
        proxy.requests.clear()
        with suppress(HTTPException):  # what the proxy says in the tunnel is no answer to the call
            await running.call(backend)
        assert proxy.requests[0][":line"] == line
        assert proxy.requests[0]["host"] == "far.example:443"
