"""The agent's door for spans: what Envoy and programs send, and what nobody should."""

from __future__ import annotations

import asyncio
import gzip
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from tulle.agent import http1
from tulle.agent.spans import door as spans
from tulle.agent.spans import requests
from tulle.agent.spans.door import SOCKET, SpansDoor, spans_door
from tulle.agent.spans.waiting import Waiting
from tulle.envoy_api.messages import message

PROTOBUF = {"Content-Type": "application/x-protobuf"}


def export(*names: str) -> bytes:
    spans = [{"name": name, "trace_id": bytes(16), "span_id": bytes(8), "start_time_unix_nano": 1} for name in names]
    request = message("opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest")
    return bytes(request(resource_spans=[{"scope_spans": [{"spans": spans}]}]).SerializeToString())


def names_in(data: bytes) -> list[str]:
    request = message("opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest").FromString(data)
    return [s.name for r in request.resource_spans for scope in r.scope_spans for s in scope.spans]


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[SpansDoor, Waiting]]:
    waiting = Waiting()
    async with spans_door(folder, waiting) as door:
        yield door, waiting


async def sent(
    folder: Path, body: bytes, headers: dict[str, str], method: str = "POST", path: str = "/v1/traces"
) -> int:
    async with http1.over_unix(folder / SOCKET) as connection:
        await connection.request(method, path, headers, body)
        status = await connection.response()
        assert await connection.body() == b""
        return status


def waits(waiting: Waiting) -> list[str]:
    return names_in(b"".join(data for data, _ in waiting.take()))


async def test_several_exports_on_one_connection_are_taken_as_they_come(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, waiting), http1.over_unix(tmp_path / SOCKET) as connection:
        for body in (export("a", "b"), export(), export("c")):
            await connection.request("POST", "/v1/traces", PROTOBUF, body, keep=True)
            assert await connection.response() == 200
            assert await connection.body() == b""
        assert waiting.spans == 3
        assert waits(waiting) == ["a", "b", "c"]


async def test_a_body_may_come_in_chunks_as_envoy_sends_it(tmp_path: Path) -> None:
    body = export("a")
    async with opened(tmp_path) as (_, waiting), http1.over_unix(tmp_path / SOCKET) as connection:
        await connection.request("POST", "/v1/traces", PROTOBUF, None)
        for part in (body[:7], body[7:], b""):
            await connection.send_chunk(part)
        assert await connection.response() == 200
        assert waits(waiting) == ["a"]


async def test_a_packed_body_is_unpacked(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, waiting):
        assert (
            await sent(tmp_path, gzip.compress(export("a"), mtime=0), {**PROTOBUF, "Content-Encoding": "gzip"}) == 200
        )
        assert waits(waiting) == ["a"]


@pytest.mark.parametrize(
    ("body", "headers", "method", "path", "status"),
    [
        (export("a")[:-1], PROTOBUF, "POST", "/v1/traces", 400),
        (b"\xff" * 40, PROTOBUF, "POST", "/v1/traces", 400),
        (b"{}", {"Content-Type": "application/json"}, "POST", "/v1/traces", 415),
        (b"", PROTOBUF, "GET", "/v1/traces", 405),
        (b"", PROTOBUF, "POST", "/v1/metrics", 404),
        (export("a"), {**PROTOBUF, "Content-Encoding": "gzip"}, "POST", "/v1/traces", 400),
        (gzip.compress(export("a"), mtime=0)[:-3], {**PROTOBUF, "Content-Encoding": "gzip"}, "POST", "/v1/traces", 400),
        (export("a"), {**PROTOBUF, "Content-Encoding": "br"}, "POST", "/v1/traces", 415),
    ],
)
async def test_what_is_no_export_is_refused(
    body: bytes, headers: dict[str, str], method: str, path: str, status: int, tmp_path: Path
) -> None:
    async with opened(tmp_path) as (_, waiting):
        assert await sent(tmp_path, body, headers, method, path) == status
        assert waiting.spans == 0


async def test_no_body_may_be_large_however_small_it_is_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MOST_BODY", 10_000)
    async with opened(tmp_path) as (_, waiting):
        packed = gzip.compress(export("a" * 20_000), mtime=0)
        assert len(packed) < 1000
        assert await sent(tmp_path, packed, {**PROTOBUF, "Content-Encoding": "gzip"}) == 413
        assert await sent(tmp_path, export("a" * 20_000), PROTOBUF) == 413
        async with http1.over_unix(tmp_path / SOCKET) as connection:
            await connection.request("POST", "/v1/traces", PROTOBUF, None)
            await connection.send_chunk(export("a" * 20_000))
            assert await connection.response() == 413
        assert waiting.spans == 0


async def test_only_the_owner_may_open_envoys_socket_and_it_is_gone_afterwards(tmp_path: Path) -> None:
    async with opened(tmp_path):
        assert stat.S_IMODE((tmp_path / SOCKET).stat().st_mode) == 0o600
    assert not (tmp_path / SOCKET).exists()


async def test_the_programs_door_takes_only_what_knows_its_word(tmp_path: Path) -> None:
    async with opened(tmp_path) as (door, waiting):
        assert door.endpoint == ""
        endpoint = await door.for_program()
        assert endpoint == door.endpoint == await door.for_program()
        address, _, word = endpoint.removeprefix("http://").partition("/")
        host, port = address.split(":")
        for path, status in ((f"/{word}/v1/traces", 200), ("/v1/traces", 404), (f"/{word[:-1]}/v1/traces", 404)):
            async with http1.over_tcp(host, int(port)) as connection:
                await connection.request("POST", path, PROTOBUF, export("a"))
                assert await connection.response() == status
        assert waiting.spans == 1


async def test_no_request_at_all_ends_the_connection_and_nothing_else(tmp_path: Path) -> None:
    async with opened(tmp_path):
        for garbage in (b"\r\n\r\n", b"x" * 100_000, b"POST /v1/traces HTTP/1.0\r\n\r\n"):
            reader, writer = await asyncio.open_unix_connection(tmp_path / SOCKET)
            writer.write(garbage)
            assert (await reader.read()).startswith(b"HTTP/1.1 4")
            writer.close()
        assert await sent(tmp_path, export("a"), PROTOBUF) == 200


async def test_strangers_can_neither_keep_the_program_out_nor_envoy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "_MOST_CONNECTIONS", 4)
    async with opened(tmp_path) as (door, waiting), AsyncExitStack() as stack:
        address, _, path = (await door.for_program()).removeprefix("http://").partition("/")
        place = address.split(":")[0], int(address.split(":")[1])

        async def known() -> http1.Connection:
            connection = await stack.enter_async_context(http1.over_tcp(*place))
            await connection.request("POST", f"/{path}/v1/traces", PROTOBUF, export("a"), keep=True)
            assert (await connection.response(), await connection.body()) == (200, b"")
            return connection

        first = await known()
        strangers = [await asyncio.open_connection(*place) for _ in range(8)]
        assert await sent(tmp_path, export("a"), PROTOBUF) == 200
        await known()
        await first.request("POST", f"/{path}/v1/traces", PROTOBUF, export("a"), keep=True)
        assert await first.response() == 200
        assert waiting.spans == 4
        for reader, writer in strangers[:6]:
            with suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
        for _ in range(2):
            await known()
        with pytest.raises(ConnectionError):  # all who are there have the word
            await known()
        assert await sent(tmp_path, export("a"), PROTOBUF) == 200


async def test_who_says_nothing_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "_HEAD_SECONDS", 0.05)
    async with opened(tmp_path):
        reader, writer = await asyncio.open_unix_connection(tmp_path / SOCKET)
        writer.write(b"POST /v1/")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        async with http1.over_unix(tmp_path / SOCKET) as connection:
            await connection.request("POST", "/v1/traces", PROTOBUF, export("a"), keep=True)
            assert await connection.response() == 200
            await asyncio.sleep(0.15)
            await connection.request("POST", "/v1/traces", PROTOBUF, export("a"), keep=True)
            assert await connection.response() == 200
