"""The server on a real port, spoken to by a real gRPC client over mutual TLS, and by whoever else comes along."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from tulle.envoy_api.messages import message
from tulle.xds.requests import Request
from tulle.xds.resources import CDS, EDS, resource, response
from tulle.xds.server import METHOD, SERVICE, PortUnavailable, Refusal, ServerIdentity, serve

Issue = Callable[[str], tuple[bytes, bytes]]
SERVER, PROXY = "control-plane.test", "spiffe://cluster.local/proxy/b-1"

aio: Any = grpc.aio


class Recorder:
    """An owner that writes down what it sees, and a subscriber that gives what it is told to."""

    def __init__(self) -> None:
        self.certificate = b""
        self.node = ""
        self.requests: list[Request] = []
        self.outbox: list[bytes] = []
        self.flushes = 0
        self.disconnects = 0
        self.wake: Callable[[], None] = lambda: None
        self.news = asyncio.Event()

    def connect(self, certificate: bytes, node: str, wake: Callable[[], None]) -> Recorder | Refusal:
        if node == "stranger":
            return Refusal("no proxy of that name is registered")
        self.certificate, self.node, self.wake = certificate, node, wake
        return self

    def receive(self, request: Request) -> None:
        if request.type_url == "example.com/Bug":
            raise RuntimeError("a bug of the owner's")
        self.requests.append(request)
        self.news.set()

    def flush(self) -> list[bytes]:
        self.flushes += 1
        self.news.set()
        out, self.outbox = self.outbox, []
        return out

    def disconnect(self) -> None:
        self.disconnects += 1
        self.news.set()

    def send(self, *encoded: bytes) -> None:
        self.outbox += encoded
        self.wake()

    async def until(self, so: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not so():
                self.news.clear()
                await self.news.wait()


@pytest.fixture
def owner() -> Recorder:
    return Recorder()


@pytest.fixture
def identity(issue: Issue, roots: bytes) -> ServerIdentity:
    return ServerIdentity(*issue(SERVER), roots)


@pytest.fixture
async def port(owner: Recorder, identity: ServerIdentity) -> AsyncIterator[int]:
    async with serve(owner, lambda: identity) as port:
        yield port


@asynccontextmanager
async def stream(
    port: int, roots: bytes, credentials: tuple[bytes, bytes] | None, method: str = METHOD
) -> AsyncIterator[Any]:
    """A client's call; read() and write() are raw bytes."""
    key, chain = credentials or (None, None)
    options = [("grpc.ssl_target_name_override", SERVER), ("grpc.use_local_subchannel_pool", 1)]
    tls = grpc.ssl_channel_credentials(roots, key, chain)
    async with aio.secure_channel(f"127.0.0.1:{port}", tls, options=options) as channel:
        call = channel.stream_stream(f"/{SERVICE}/{method}")()
        yield call
        call.cancel()


def first(type_url: str = CDS, node: str = "b-1", **fields: Any) -> bytes:
    request = message("envoy.service.discovery.v3.DeltaDiscoveryRequest")(
        type_url=type_url, node={"id": node}, **fields
    )
    encoded: bytes = request.SerializeToString()
    return encoded


# the tag of type_url, a length, and bytes that are no text
NO_UTF8 = b"\x12\x02\xff\xfe"


async def refusal(call: Any, *data: bytes) -> tuple[Any, str]:
    """How the server ends the call after it got these messages."""
    for encoded in data:
        await call.write(encoded)
    async with asyncio.timeout(20):
        return await call.code(), await call.details()


async def test_requests_and_responses_pass_both_ways(owner: Recorder, port: int, roots: bytes, issue: Issue) -> None:
    credentials = issue(PROXY)
    async with stream(port, roots, credentials) as call:
        await call.write(first(resource_names_subscribe=["b"], initial_resource_versions={"a": "7"}))
        await owner.until(lambda: bool(owner.requests))
        assert owner.requests == [Request(CDS, ("b",), held={"a": "7"}, node="b-1")]
        assert owner.certificate.strip() == credentials[1].strip()
        one = response(CDS, "1", [resource(CDS, "b", b"")])
        owner.send(one)
        assert await call.read() == one
        await call.write(first(node="", response_nonce="1", error_detail={"message": "no"}))
        await owner.until(lambda: len(owner.requests) == 2)
        assert owner.requests[1] == Request(CDS, nonce="1", error="no")
    await owner.until(lambda: owner.disconnects == 1)


async def test_a_client_that_is_refused_is_told_why(owner: Recorder, port: int, roots: bytes, issue: Issue) -> None:
    async with stream(port, roots, issue(PROXY)) as call:
        code, details = await refusal(call, first(node="stranger"))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert details == "no proxy of that name is registered"


@pytest.mark.parametrize(
    ("sent", "details"),
    [
        ([b"\xff garbage"], "not a DeltaDiscoveryRequest"),
        ([first(node="")], "says no node id"),
        ([first("")], "without a type_url"),
        ([first(), b"\x00"], "not a DeltaDiscoveryRequest"),
        ([first(resource_names_subscribe=["x"] * 100_001)], "more than 100000 names"),
        (
            [first(resource_names_subscribe=[f"{part}{n}" for n in range(60_000)]) for part in "xy"],
            "more than 100000 names on one stream",
        ),
        ([NO_UTF8], "not a DeltaDiscoveryRequest"),
    ],
    ids=["no message", "no node", "no type", "garbage later", "too many names", "too many in all", "no UTF-8"],
)
async def test_a_malformed_request_ends_the_stream(
    sent: list[bytes], details: str, port: int, roots: bytes, issue: Issue
) -> None:
    async with stream(port, roots, issue(PROXY)) as call:
        code, text = await refusal(call, *sent)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details in text


async def test_a_message_of_more_than_16_mib_is_not_even_read(port: int, roots: bytes, issue: Issue) -> None:
    async with stream(port, roots, issue(PROXY)) as call:
        code, _ = await refusal(call, bytes(17 << 20))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_client_that_hangs_up_at_once_is_no_trouble(
    owner: Recorder, port: int, roots: bytes, issue: Issue
) -> None:
    async with stream(port, roots, issue(PROXY)) as call:
        await call.done_writing()
        code, details = await refusal(call)
    assert (code, details) == (grpc.StatusCode.INVALID_ARGUMENT, "no request at all")
    assert owner.disconnects == 0


async def test_clients_that_vanish_while_they_are_written_to_leave_nothing_in_the_log(
    owner: Recorder, port: int, roots: bytes, issue: Issue, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(10):
        async with stream(port, roots, issue(PROXY)) as call:
            await call.write(first())
            await owner.until(lambda: len(owner.requests) > owner.disconnects)
            owner.send(*[response(CDS, "1", [resource(CDS, "b", bytes(100_000))])] * 20)
            await call.read()
        await owner.until(lambda: len(owner.requests) == owner.disconnects)
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "WARNING")]


async def test_another_method_is_not_there(port: int, roots: bytes, issue: Issue) -> None:
    async with stream(port, roots, issue(PROXY), "StreamAggregatedResources") as call:
        assert (await refusal(call))[0] is grpc.StatusCode.UNIMPLEMENTED


async def test_a_fault_of_the_owner_ends_one_stream_and_no_other(
    owner: Recorder, port: int, roots: bytes, issue: Issue, caplog: pytest.LogCaptureFixture
) -> None:
    credentials = issue(PROXY)
    async with stream(port, roots, credentials) as good, stream(port, roots, credentials) as bad:
        await good.write(first())
        await owner.until(lambda: len(owner.requests) == 1)
        wake = owner.wake
        code, _ = await refusal(bad, first("example.com/Bug"))
        assert code is grpc.StatusCode.UNKNOWN
        assert "a bug of the owner's" in caplog.text
        owner.outbox.append(response(CDS, "1"))
        wake()
        assert await good.read() == response(CDS, "1")
    await owner.until(lambda: owner.disconnects == 2)


async def test_without_a_certificate_of_ours_nobody_gets_in(
    owner: Recorder, port: int, roots: bytes, issue: Issue, strangers: Issue
) -> None:
    for credentials in (None, strangers(PROXY)):
        async with stream(port, roots, credentials) as call:
            code, _ = await refusal(call)
        assert code is grpc.StatusCode.UNAVAILABLE
    assert not owner.node


async def test_a_session_that_is_taken_up_again_opens_no_stream(
    owner: Recorder, port: int, issue: Issue, tmp_path: Path
) -> None:
    """As HTTP/2 by hand, since gRPC's own client gives no session away."""
    file = tmp_path / "proxy.pem"
    file.write_bytes(b"".join(issue(PROXY)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(file)
    context.set_alpn_protocols(["h2"])
    first_is_reused, session, _ = await asyncio.to_thread(_asked, context, port, None)
    await owner.until(lambda: bool(owner.node))
    owner.node = ""
    again_is_reused, _, answer = await asyncio.to_thread(_asked, context, port, session)
    assert (first_is_reused, again_is_reused, owner.node) == (False, True, "")
    assert b"taken up again" in answer


def _asked(
    context: ssl.SSLContext, port: int, session: ssl.SSLSession | None
) -> tuple[bool, ssl.SSLSession | None, bytes]:
    """Opens a stream with a first request; whether the session was taken up, the next one, what came."""

    def frame(kind: int, flags: int, of: int, payload: bytes) -> bytes:
        return len(payload).to_bytes(3) + bytes([kind, flags]) + of.to_bytes(4) + payload

    def field(name: str, value: str) -> bytes:  # RFC 7541, section 6.2.2: a literal that is not indexed
        words = (word.encode() for word in (name, value))
        return b"\0" + b"".join(bytes([len(word)]) + word for word in words)

    fields = {":method": "POST", ":scheme": "https", ":path": f"/{SERVICE}/{METHOD}", ":authority": SERVER}
    fields |= {"te": "trailers", "content-type": "application/grpc"}
    request = first()
    said = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")
    said += frame(1, 4, 1, b"".join(field(*each) for each in fields.items()))
    said += frame(0, 0, 1, b"\0" + len(request).to_bytes(4) + request)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        context.wrap_socket(plain, session=session) as connection,
    ):
        connection.sendall(said)
        connection.settimeout(1)
        answer = b""
        with suppress(TimeoutError):
            while part := connection.recv(4096):
                answer += part
        return bool(connection.session_reused), connection.session, answer


GARBAGE = {
    "nothing": b"",
    "zeros": bytes(10),
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS that goes wrong": b"\x16\x03\x01\x02\x00\x01" + bytes(range(256)) * 4,
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_does_not_disturb_the_others(
    garbage: bytes, owner: Recorder, port: int, roots: bytes, issue: Issue
) -> None:
    async with stream(port, roots, issue(PROXY)) as call:
        await call.write(first())
        await owner.until(lambda: bool(owner.requests))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(garbage)
        writer.write_eof()
        async with asyncio.timeout(20):
            with suppress(ConnectionError):
                await reader.read()
        writer.close()
        owner.send(response(CDS, "1"))
        assert await call.read() == response(CDS, "1")


async def test_the_server_certificate_may_change_under_way(issue: Issue, roots: bytes) -> None:
    identities = [ServerIdentity(*issue(SERVER), roots)]
    owner = Recorder()
    async with serve(owner, lambda: identities[-1]) as port, stream(port, roots, issue(PROXY)) as call:
        await call.write(first())
        await owner.until(lambda: bool(owner.requests))
        before = await seen_certificate(port, roots)
        identities.append(ServerIdentity(*issue(SERVER), roots))
        after = await seen_certificate(port, roots)
        assert before == ssl.PEM_cert_to_DER_cert(identities[0].chain.decode())
        assert after == ssl.PEM_cert_to_DER_cert(identities[1].chain.decode())
        owner.send(response(CDS, "1"))  # who is connected stays so
        assert await call.read() == response(CDS, "1")


async def seen_certificate(port: int, roots: bytes) -> bytes:
    context = ssl.create_default_context(cadata=roots.decode())
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=SERVER)
    certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return certificate


async def test_a_client_that_reads_slowly_makes_nothing_pile_up(
    owner: Recorder, port: int, roots: bytes, issue: Issue
) -> None:
    async with stream(port, roots, issue(PROXY)) as call:
        await call.write(first())
        await owner.until(lambda: bool(owner.requests))
        newest = 0
        before = -1
        while owner.flushes != before:  # until the server asks for no more
            before = owner.flushes
            for _ in range(20):
                newest += 1
                owner.outbox[:] = [response(EDS, str(newest), [resource(EDS, "b", bytes(100_000))])]
                owner.wake()
                await asyncio.sleep(0.005)
        assert newest < 20_000
        answer = b""
        async with asyncio.timeout(20):
            while not answer.endswith(str(newest).encode()):
                answer = await call.read()


async def test_a_port_that_is_taken_is_named(owner: Recorder, identity: ServerIdentity) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(PortUnavailable, match=f"port {taken} on 127.0.0.1 is taken by another program"):
            async with serve(owner, lambda: identity, port=taken):
                pass


async def test_two_servers_do_not_share_a_port(owner: Recorder, port: int, identity: ServerIdentity) -> None:
    with pytest.raises(PortUnavailable, match=f"port {port} on 127.0.0.1 is taken"):
        async with serve(owner, lambda: identity, port=port):
            pass


async def test_an_address_that_is_not_ours_is_named(owner: Recorder, identity: ServerIdentity) -> None:
    with pytest.raises(PortUnavailable, match=r"can't listen on 192\.0\.2\.1:15012"):
        async with serve(owner, lambda: identity, "192.0.2.1", 15012):
            pass


async def test_when_the_server_ends_every_stream_has_ended(
    owner: Recorder, identity: ServerIdentity, roots: bytes, issue: Issue
) -> None:
    async with AsyncExitStack() as clients:
        async with serve(owner, lambda: identity) as port:
            for _ in range(2):
                call = await clients.enter_async_context(stream(port, roots, issue(PROXY)))
                await call.write(first())
            await owner.until(lambda: len(owner.requests) == 2)
            assert owner.disconnects == 0
        assert owner.disconnects == 2
        async with serve(owner, lambda: identity, port=port) as again:
            assert again == port
