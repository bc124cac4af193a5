"""The API's door for other machines: who may ask for what, and that strangers cost nothing."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tulle.api import remote
from tulle.api.registration import unreachable
from tulle.identity.authority import Authority
from tulle.identity.root import new_root
from tulle.model.names import ServiceName
from tulle.model.spiffe import proxy_id, workload_id
from tulle.model.workload import Proxy, ServicePort, Workload

OWN = proxy_id("web-3fa2c1")
SECRET = "5e" * 32
Answer = tuple[int, Any]


@dataclass
class Door:
    """Where it listens, and clients for it."""

    api: Any
    port: int
    folder: Path

    def context(self, spiffe_id: str = "", authority: Authority | None = None, ttl: float = 600) -> ssl.SSLContext:
        """Of a client that shows a certificate, or none."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(cadata=self.api.authority.bundle_pem)
        if spiffe_id:
            key = ec.generate_private_key(ec.SECP256R1())
            csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
            pem = csr.public_bytes(serialization.Encoding.PEM).decode()
            issued = (authority or self.api.authority).issue(pem, spiffe_id, ttl)
            file = self.folder / "client.pem"
            private = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            file.write_bytes(private + issued.chain_pem.encode())
            context.load_cert_chain(file)
        return context

    async def connect(self, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=context)

    async def ask(
        self, context: ssl.SSLContext, method: str, path: str, body: bytes = b"", authorization: str = ""
    ) -> Answer:
        head = f"{method} {path} HTTP/1.1\r\nHost: tulle\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        if authorization:
            head += f"Authorization: {authorization}\r\n"
        reader, writer = await self.connect(context)
        try:
            writer.write(f"{head}\r\n".encode() + body)
            answer = await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()
        assert answer, "the connection was closed without an answer"
        head, _, content = answer.partition(b"\r\n\r\n")  # type: ignore[assignment]
        return int(head.split()[1]), json.loads(content)


@pytest.fixture
async def door(api: Any, tmp_path: Path) -> AsyncIterator[Door]:
    issued = api.authority.server_certificate(600)
    chain, roots = issued.certificate.chain_pem.encode(), api.authority.bundle_pem.encode()
    listening = remote.bound("127.0.0.1", 0)
    context = remote.server_context(issued.key_pem.encode(), chain, roots)
    serving = asyncio.create_task(remote.serve(api.app, listening, lambda: context, asyncio.Event()), name="door")
    yield Door(api, listening.getsockname()[1], tmp_path)
    serving.cancel()
    await asyncio.wait([serving])


def enrolment(proxy: str = "web-3fa2c1", service: str = "web") -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    pem = csr.public_bytes(serialization.Encoding.PEM).decode()
    names = {"proxy": proxy, "namespace": "default", "service": service, "service_account": service}
    return json.dumps({**names, "csr": pem, "proxy_csr": pem}).encode()


async def test_a_stranger_may_see_the_roots_and_try_to_enrol(door: Door) -> None:
    nobody = door.context()
    assert await door.ask(nobody, "GET", "/v1/trust") == (200, {"bundle": door.api.authority.bundle_pem})
    status, answer = await door.ask(nobody, "POST", "/v1/enrol", enrolment())
    assert (status, answer["error"].startswith("it needs a join token")) == (403, True)
    token, secret = await door.api.tokens.create("default", "web", "web", 60, 1)
    evidence = f"Join {token.id}.{secret}"
    status, answer = await door.ask(nobody, "POST", "/v1/enrol", enrolment(service="api"), evidence)
    assert (status, "lets an agent enrol as web only" in answer["error"]) == (400, True)
    status, answer = await door.ask(nobody, "POST", "/v1/enrol", enrolment(), evidence)
    assert (status, answer["bundle"]) == (200, door.api.authority.bundle_pem)


@pytest.mark.parametrize("path", ["/v1/status", "/v1/tokens", "/v1/agents/web-3fa2c1", "/v1/trust/", "/", "//v1/trust"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_stranger_may_do_nothing_else_not_even_with_the_local_secret(
    door: Door, method: str, path: str
) -> None:
    status, answer = await door.ask(door.context(), method, path, authorization=f"Bearer {SECRET}")
    assert status == 401
    assert answer["error"].startswith(
        "from another machine this needs the certificate of an enrolled proxy, or a user's "
    )


async def test_a_proxy_may_keep_its_own_session_and_nothing_else(door: Door) -> None:
    own = door.context(OWN)
    reader, writer = await door.connect(own)
    writer.write(b"POST /v1/agents/web-3fa2c1 HTTP/1.1\r\nHost: tulle\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    writer.close()
    for method, path in (("POST", "/v1/agents/web-000000"), ("GET", "/v1/status"), ("GET", "/v1/proxies/web-3fa2c1")):
        status, answer = await door.ask(own, method, path, authorization=f"Bearer {SECRET}")
        assert (status, "nothing else" in answer["error"]) == (403, True)
    status, answer = await door.ask(own, "POST", "/v1/enrol", enrolment("web-000000"))
    assert (status, "the certificate is proxy web-3fa2c1's" in answer["error"]) == (403, True)


@pytest.mark.parametrize("spiffe_id", [workload_id("default", "web"), "spiffe://cluster.local/control-plane"])
async def test_a_certificate_that_is_no_proxys_opens_nothing(door: Door, spiffe_id: str) -> None:
    status, answer = await door.ask(door.context(spiffe_id), "POST", "/v1/agents/web-3fa2c1")
    assert (status, "is no proxy's identity" in answer["error"]) == (401, True)


async def test_a_foreign_and_an_ended_certificate_end_the_handshake(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = door.context(OWN, Authority(new_root(datetime.now(UTC)), time.time))
    with monkeypatch.context() as earlier:
        earlier.setattr(door.api.authority, "_clock", lambda: time.time() - 3600)
        ended = door.context(OWN, ttl=600)
    for context in (foreign, ended):
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            await door.ask(context, "GET", "/v1/trust")


async def test_no_older_tls_is_spoken(door: Door) -> None:
    context = door.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await door.connect(context)


async def test_who_is_slow_is_let_go(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_HANDSHAKE_WITHIN", 0.3)
    monkeypatch.setattr(remote, "_REQUEST_WITHIN", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    assert await asyncio.wait_for(reader.read(), 10) == b"", "no handshake"
    writer.close()
    reader, writer = await door.connect(door.context())
    drip = asyncio.create_task(_drip(writer), name="drip")
    assert await asyncio.wait_for(reader.read(), 10) == b"", "half of a request"
    drip.cancel()
    writer.close()


async def _drip(writer: asyncio.StreamWriter) -> None:
    for byte in b"GET /v1/trust HTTP/1.1\r\nX: " + b"x" * 10_000:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.05)


async def test_who_is_silent_is_let_go_also_in_a_session(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_SILENCE", 0.5)
    reader, writer = await door.connect(door.context(OWN))
    writer.write(b"POST /v1/agents/web-3fa2c1 HTTP/1.1\r\nHost: tulle\r\nTransfer-Encoding: chunked\r\n\r\n")
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await asyncio.wait_for(reader.readuntil(b"never"), 5)
    writer.close()


async def test_a_head_has_its_limit(door: Door) -> None:
    reader, writer = await door.connect(door.context())
    writer.write(b"GET /v1/trust HTTP/1.1\r\nX: " + b"x" * 100_000)
    assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 400 ")
    writer.close()


async def test_strangers_of_one_address_are_counted_and_proxies_are_not(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "MOST_STRANGERS_OF_ONE", 2)
    known = [await door.connect(door.context(OWN)) for _ in range(4)]
    await asyncio.sleep(0)
    strangers = [await door.connect(door.context()) for _ in range(2)]
    with pytest.raises(OSError):
        await door.connect(door.context())
    for _, writer in (*known, *strangers):
        writer.close()
        await writer.wait_closed()
    async with asyncio.timeout(10):
        while True:
            try:
                assert (await door.ask(door.context(), "GET", "/v1/trust"))[0] == 200
                break
            except OSError:
                await asyncio.sleep(0.05)


async def test_who_fails_too_often_is_refused_before_anything_is_looked_at(door: Door) -> None:
    nobody = door.context()
    token, secret = await door.api.tokens.create("default", "web", "web", 60, 1)
    for _ in range(10):
        status, _ = await door.ask(nobody, "POST", "/v1/enrol", enrolment(), f"Join {token.id}.{'A' * 43}")
        assert status == 403
    status, answer = await door.ask(nobody, "POST", "/v1/enrol", enrolment(), f"Join {token.id}.{secret}")
    assert (status, "too many attempts" in answer["error"]) == (429, True)
    # Who has a certificate does not suffer.
    status, answer = await door.ask(door.context(OWN), "POST", "/v1/enrol", enrolment(), f"Join {token.id}.{secret}")
    assert status == 200, answer


async def test_nonsense_is_a_failed_attempt_however_it_is_made(door: Door) -> None:
    deep = b'{"more": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    for _ in range(10):
        assert (await door.ask(door.context(), "POST", "/v1/enrol", deep))[0] == 400
    assert (await door.ask(door.context(), "POST", "/v1/enrol", deep))[0] == 429


async def test_a_proxy_that_fails_too_often_is_refused_and_no_other_is(door: Door) -> None:
    mine = door.context(OWN)
    found = [(await door.ask(mine, "POST", "/v1/enrol", enrolment()))[0] for _ in range(12)]
    assert found == [403] * 10 + [429] * 2
    token, secret = await door.api.tokens.create("default", "web", "web", 60, 1)
    other = door.context(proxy_id("web-000001"))
    answer = await door.ask(other, "POST", "/v1/enrol", enrolment("web-000001"), f"Join {token.id}.{secret}")
    assert answer[0] == 200


async def test_neither_the_local_secret_nor_a_token_takes_a_proxy_that_is_alive(door: Door) -> None:
    token, secret = await door.api.tokens.create("default", "web", "web", 60, 5)
    evidence = f"Join {token.id}.{secret}"
    assert (await door.ask(door.context(), "POST", "/v1/enrol", enrolment(), evidence))[0] == 200
    for status, answer in (
        await door.ask(door.context(), "POST", "/v1/enrol", enrolment(), evidence),
        await door.api.ask("POST", "/v1/enrol", enrolment()),
    ):
        assert (status, "does not prove to hold its key" in answer["error"]) == (400, True)
    assert [each.used for each in await door.api.tokens.all()] == [1]


async def test_no_log_has_a_token(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    token, secret = await door.api.tokens.create("default", "web", "web", 60, 1)
    for evidence in (f"{token.id}.{secret}", f"{token.id}.{secret}x", f"{token.id}.{secret}"):
        await door.ask(door.context(), "POST", "/v1/enrol", enrolment(service="api"), f"Join {evidence}")
    assert "refused to enrol" in caplog.text
    assert secret not in caplog.text


def test_a_proxy_on_another_machine_must_say_where_others_reach_it() -> None:
    workload = Workload("web-1", ServiceName("default", "web"), "web", ports=(ServicePort(80, 8080),))
    here, there = (Proxy("web-1", address, 1, 2, (workload,)) for address in ("127.0.0.1", "10.0.0.2"))
    assert "--address IP" in unreachable(here, "10.0.0.2")
    assert not unreachable(here, "127.0.0.1")
    assert not unreachable(there, "10.0.0.2")
    only_calls = Proxy("web-1", "127.0.0.1", 1, 2, (Workload("web-1", ServiceName("default", "web"), "web"),))
    assert not unreachable(only_calls, "10.0.0.2")
