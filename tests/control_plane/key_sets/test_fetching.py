"""One GET from real servers that do everything that a server may do wrong."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from certificates import Authority
from tulle.control_plane.key_sets.addresses import Refused, allowed
from tulle.control_plane.key_sets.fetching import MOST_BYTES, FetchFailed, LookUp, fetch

HERE = allowed(["127.0.0.1"])
OK = b"HTTP/1.1 200 OK\r\n"


@asynccontextmanager
async def server(
    *answer: bytes | float, hold: bool = False, context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Its port, and what it was asked. answer: what it sends, and for how many seconds it waits. hold: it does not close."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            for part in answer:
                if isinstance(part, bytes):
                    writer.write(part)
                    await writer.drain()
                else:
                    await asyncio.sleep(part)
            if hold:
                await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with listening:
        yield listening.sockets[0].getsockname()[1], asked


def looked_up(*addresses: str) -> LookUp:
    async def look_up(host: str, port: int) -> list[str]:
        return list(addresses)

    return look_up


async def test_the_request_is_plain_and_goes_to_the_address_that_was_looked_at() -> None:
    async with server(OK + b"Content-Length: 2\r\n\r\n{}", hold=True) as (port, asked):
        body = await fetch(f"http://idp.example:{port}/keys?v=1", HERE, 5, looked_up("127.0.0.1"))
    assert body == b"{}"
    assert asked[0].startswith(b"GET /keys?v=1 HTTP/1.1\r\nHost: idp.example:%d\r\n" % port)
    assert not any(name in asked[0].lower() for name in (b"cookie", b"authorization"))


@pytest.mark.parametrize(
    "answer",
    [
        (OK + b"\r\n{}",),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",),
        (OK[:5], 0.01, OK[5:] + b"content-length: 2\r\n\r\n", 0.01, b"{", 0.01, b"}"),
        (b"HTTP/1.0 200 OK\r\n\r\n{}",),
    ],
)
async def test_every_way_to_send_a_body(answer: tuple[bytes | float, ...]) -> None:
    async with server(*answer) as (port, _):
        assert await fetch(f"http://127.0.0.1:{port}/", HERE, 5) == b"{}"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n",), "redirects are not followed"),
        ((b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",), "answers 404"),
        ((b"HTTP/1.1 500 Oh\r\n\r\nsecret",), "answers 500"),
        ((b"SSH-2.0-OpenSSH\r\n\r\n",), "no proper HTTP"),
        ((b"",), "no proper HTTP"),
        ((OK + b"Content-Length: x\r\n" + b"a: b\r\n" * 200 + b"\r\n{}",), "no proper HTTP"),
        ((OK + b"a" * 70_000,), "too long"),
        ((OK + b"\r\n" + b"a" * (MOST_BYTES + 200_000),), "longer than"),
        ((OK + b"Content-Length: %d\r\n\r\n" % (MOST_BYTES + 1) + b"a" * (MOST_BYTES + 1),), "longer than"),
        ((OK + b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\nab",), "no proper HTTP"),
    ],
)
async def test_other_answers_are_failures(answer: tuple[bytes | float, ...], problem: str) -> None:
    async with server(*answer) as (port, _):
        with pytest.raises(FetchFailed, match=problem) as failure:
            await fetch(f"http://127.0.0.1:{port}/", HERE, 5)
    assert "secret" not in str(failure.value)


async def test_a_server_that_drips_has_no_more_time_than_one_that_is_silent() -> None:
    drips: list[bytes | float] = [OK]
    for _ in range(50):
        drips += [b"a: b\r\n", 0.02]
    async with server(*drips) as (port, _):
        with pytest.raises(FetchFailed, match="did not answer in full"):
            await fetch(f"http://127.0.0.1:{port}/", HERE, 0.3)


async def test_nobody_is_asked_who_may_not_be() -> None:
    async with server(OK + b"\r\n{}") as (port, asked):
        for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1"):
            with pytest.raises((Refused, FetchFailed)):
                await fetch(f"http://{host}:{port}/", allowed(()), 5)
        with pytest.raises(Refused, match=r"--jwks-allow idp\.example"):
            await fetch(f"http://idp.example:{port}/", allowed(()), 5, looked_up("127.0.0.1"))
        assert asked == []


async def test_a_name_that_is_another_address_a_moment_later_is_not_looked_up_again() -> None:
    answers = iter((["127.0.0.1"], ["169.254.169.254"]))

    async def rebinds(host: str, port: int) -> list[str]:
        return next(answers)

    async with server(OK + b"\r\n{}") as (port, _):
        assert await fetch(f"http://idp.example:{port}/", HERE, 5, rebinds) == b"{}"
    assert next(answers) == ["169.254.169.254"]


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with server(OK + b"\r\n{}") as (port, _):
        assert await fetch(f"http://127.0.0.1:{port}/", HERE, 5) == b"{}"


async def test_the_next_address_is_tried_and_a_closed_port_is_told() -> None:
    async with server(OK + b"\r\n{}") as (port, _):
        both = allowed(["127.0.0.0/8"])
        look_up = looked_up("127.0.0.9", "127.0.0.1")
        assert await fetch(f"http://idp.example:{port}/", both, 5, look_up) == b"{}"
    with pytest.raises(FetchFailed, match=r"[Cc]onnect"):
        await fetch(f"http://127.0.0.1:{port}/", HERE, 5)


async def test_certificates_are_checked_by_the_machines_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path, "idp")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("idp.example"))
    async with server(OK + b"\r\n{}", context=context) as (port, asked):
        here = looked_up("127.0.0.1")
        with pytest.raises(FetchFailed, match="TLS with"):
            await fetch(f"https://idp.example:{port}/", HERE, 5, here)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.roots))
        assert await fetch(f"https://idp.example:{port}/", HERE, 5, here) == b"{}"
        with pytest.raises(FetchFailed, match="TLS with"):  # another name than the certificate's
            await fetch(f"https://other.example:{port}/", HERE, 5, here)
        assert len(asked) == 1
