"""TLS that a sidecar begins for its program, PROXY headers, and instances of which only some have sidecars."""

from __future__ import annotations

import ssl
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from certificates import Authority, write_identity, write_system_roots
from policy_mesh import DESTINATION, Answer, Mesh, at, plain, sidecar, until
from tulle.ir.policies import OriginateTls, Policy
from tulle.ir.types import Backend, Endpoint, Locality, Transport

NAME = "reviews.example"  # as the calls' host


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def answered(running: Mesh, server: ssl.SSLContext, tls: OriginateTls, **about: Any) -> Answer:
    backend, program = plain(Policy(tls=tls), **about), await running.program("secure", server)
    running.tell(backend, at("", program.port))
    await running.start(backend)
    if not backend.tcp:
        return await running.call(backend)
    try:
        return await running.call(backend)
    except (HTTPException, ConnectionError):  # a connection that is closed has no answer to be read
        return Answer(b"HTTP/1.1 503 Closed\r\n\r\n")


@pytest.mark.parametrize(
    ("tls", "served", "good"),
    [
        ({}, NAME, True),
        ({}, "other.example", False),  # the certificate must be the host's
        ({"sni": "other.example"}, "other.example", True),
        ({"sni": "other.example"}, NAME, False),
        ({"names": ("other.example",)}, "other.example", True),
        ({"names": ("spiffe://them",), "sni": NAME}, "spiffe://them", True),
        ({"names": ("a.example", "b.example")}, NAME, False),
    ],
)
async def test_simple_tls_believes_a_server_that_proves_its_name(
    running: Mesh, authority: Authority, tls: dict[str, Any], served: str, good: bool
) -> None:
    server, asked = authority.server(served), []
    server.sni_callback = lambda socket, name, context: asked.append(name)
    answer = await answered(running, server, OriginateTls(ca=str(authority.roots), **tls))
    assert (answer.status == 200) is good, answer.text
    assert asked[0] == tls.get("sni", NAME)


async def test_a_server_of_another_authority_is_not_believed_but_by_who_checks_nothing(
    running: Mesh, authority: Authority, tmp_path: Path
) -> None:
    strangers = Authority(tmp_path, "strangers")
    program = await running.program("secure", strangers.server(NAME))
    ways = {"checked": OriginateTls(ca=str(authority.roots)), "unchecked": OriginateTls(verify=False)}
    backends = [plain(Policy(tls=tls), subset=way) for way, tls in ways.items()]
    for backend in backends:
        running.tell(backend, at("", program.port))
    await running.start(*backends)
    assert [(await running.call(backend)).status for backend in backends] == [503, 200]


@pytest.mark.parametrize("trusted", [True, False])
async def test_without_a_file_of_roots_the_machines_are_trusted(
    running: Mesh, authority: Authority, tmp_path: Path, trusted: bool
) -> None:
    write_system_roots(tmp_path, authority.roots if trusted else Authority(tmp_path, "others").roots)
    answer = await answered(running, authority.server(NAME), OriginateTls())
    assert (answer.status == 200) is trusted


async def test_a_revoked_certificate_is_not_believed(running: Mesh, authority: Authority) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate, key = authority.issue(NAME)
    server.load_cert_chain(certificate, key)
    crl = authority.revoke(certificate)
    answer = await answered(running, server, OriginateTls(ca=str(authority.roots), crl=str(crl)))
    assert answer.status == 503 and "revoked" in answer.text.lower()


@pytest.mark.parametrize("shown", [True, False])
async def test_mutual_tls_shows_the_clients_certificate(running: Mesh, authority: Authority, shown: bool) -> None:
    server = authority.server(NAME)
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(authority.roots)
    certificate, key = authority.issue("client.example")
    tls = (
        OriginateTls(str(certificate), str(key), str(authority.roots))
        if shown
        else OriginateTls(ca=str(authority.roots))
    )
    answer = await answered(running, server, tls)
    assert (answer.status == 200) is shown


@pytest.mark.parametrize(("served", "good"), [(DESTINATION.service.host, True), ("other.example", False)])
async def test_tls_beneath_tcp_is_for_the_service(running: Mesh, authority: Authority, served: str, good: bool) -> None:
    answer = await answered(running, authority.server(served), OriginateTls(ca=str(authority.roots)), tcp=True)
    assert (answer.status == 200) is good


async def test_a_proxy_header_says_who_called(running: Mesh, authority: Authority) -> None:
    backends = [plain(Policy(proxy_protocol=version), subset=f"v{version}") for version in (1, 2)]
    programs = [await running.program("v1"), await running.program("v2")]
    for backend, program in zip(backends, programs, strict=True):
        program.takes_proxy_header = True
        running.tell(backend, at("", program.port))
    await running.start(*backends)
    for backend in backends:
        assert (await running.call(backend)).text == backend.subset
    assert programs[0].proxy_headers[0].startswith(b"PROXY TCP4 127.0.0.1 127.0.0.1 ")
    assert programs[1].proxy_headers[0][12:14] == b"\x21\x11", "version 2, TCP over IPv4"


async def test_instances_with_and_without_sidecars_serve_together(running: Mesh) -> None:
    backend = Backend(DESTINATION, ("spiffe://cluster.local/ns/default/sa/reviews",), transport=Transport.MIXED)
    inside, outside = await running.program("inside"), await running.program("outside")
    write_identity(running.folder)
    running.tell(backend)
    await running.start(backend, sidecars=[sidecar(inside)])
    both = (
        Endpoint("127.0.0.1", running.ports["inbound.inside"]),
        Endpoint("127.0.0.1", outside.port, plain=True),
    )
    running.tell(backend, Locality(0, "", both))

    async def found() -> bool:
        return (await running.call(backend)).status == 200

    await until(found)
    assert (await running.calls(backend, 20)).keys() == {"inside", "outside"}
