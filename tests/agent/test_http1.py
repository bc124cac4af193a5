"""The small HTTP client: what it sends, what it makes of answers, and of garbage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tulle.agent import http1


@asynccontextmanager
async def answering(folder: Path, answer: bytes) -> AsyncIterator[tuple[Path, list[bytes]]]:
    """A Unix server that notes what it gets, sends `answer` and closes."""
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(serve, folder / "s"):
        yield folder / "s", got


async def test_a_request_is_what_any_server_understands(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with answering(tmp_path, answer) as (path, got), http1.over_unix(path) as connection:
        await connection.request("POST", "/v1/enrol", {"Authorization": "Bearer x"}, b"{}")
        assert await connection.response() == 200
        assert await connection.body() == b"ok"
    lines = got[0].decode().split("\r\n")
    assert lines[0] == "POST /v1/enrol HTTP/1.1"
    assert {"Host: localhost", "Content-Length: 2", "Authorization: Bearer x"} <= set(lines)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\none\nt\r\n3\r\nwo\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\none\ntwo\n",
        b"HTTP/1.0 200 OK\r\n\r\none\ntwo\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\none\ntwo\n",
    ],
    ids=["chunked", "length", "until-the-end", "after-100"],
)
async def test_lines_come_whole_however_the_body_is_framed(tmp_path: Path, answer: bytes) -> None:
    async with answering(tmp_path, answer) as (path, _), http1.over_unix(path) as connection:
        await connection.request("GET", "/", {})
        assert await connection.response() == 200
        assert [line async for line in connection.lines()] == [b"one", b"two"]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 2\xb20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfiv",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nlonger\r\n0\r\n\r\n",
        b"x" * (2 << 20),
    ],
    ids=[
        *("nothing", "ssh", "status", "superscript", "length", "endless-length", "short"),
        *("chunk", "huge-chunk", "cut-chunk", "long-chunk", "endless-head"),
    ],
)
async def test_garbage_is_a_connection_error(tmp_path: Path, answer: bytes) -> None:
    async with answering(tmp_path, answer) as (path, _):
        with pytest.raises(ConnectionError):
            async with http1.over_unix(path) as connection:
                await connection.request("GET", "/", {})
                await connection.response()
                await connection.body()


async def test_a_socket_deep_in_the_file_system_is_reached(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    (tmp_path / "short").symlink_to(deep)
    async with (
        answering(tmp_path / "short", b"HTTP/1.1 204 No Content\r\n\r\n") as (_, _),
        http1.over_unix(deep / "s") as c,
    ):
        await c.request("GET", "/", {})
        assert await c.response() == 204


async def test_a_body_may_be_one_chunk_however_long_as_envoys_figures_are(tmp_path: Path) -> None:
    text = b"envoy_istio_requests_total 1\n" * 150_000
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(text), text)
    for most in (len(text), len(text) - 1):
        async with answering(tmp_path, answer) as (path, _), http1.over_unix(path) as connection:
            await connection.request("GET", "/stats/prometheus", {})
            assert await connection.response() == 200
            if most == len(text):
                assert await connection.body(most) == text
            else:
                with pytest.raises(ConnectionError):
                    await connection.body(most)
        (tmp_path / "s").unlink(missing_ok=True)
