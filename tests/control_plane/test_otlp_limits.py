"""What one client of the door for spans may take of it: real connections, and limits that are short."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tulle.control_plane.otlp_door import SERVICE, Limits, served
from tulle.telemetry.traces.keeper import Traces
from tulle.xds.grpc_library import aio, grpc

EXPORT = f"/{SERVICE}/Export"
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # with empty settings (RFC 9113, 3.4)
SHORT, MARGIN = 0.5, 5.0


@asynccontextmanager
async def connected(port: int, said: bytes = HELLO) -> AsyncIterator[asyncio.StreamReader]:
    """A client that says this and nothing more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(said)
        yield reader
    finally:
        writer.close()


async def closed(reader: asyncio.StreamReader) -> float:
    """After how many seconds the door has closed it."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(20):
        with suppress(ConnectionError):
            await reader.read()
    return loop.time() - began


async def exported(port: int) -> Any:
    """By a client that has no connection yet, and does not wait for one."""
    async with aio.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
        return await channel.unary_unary(EXPORT)(b"", timeout=MARGIN)


async def test_a_connection_without_a_call_is_closed_and_its_client_comes_back(tmp_path: Path) -> None:
    async with served(Traces(tmp_path), "127.0.0.1", 0, Limits(idle=SHORT)) as port:
        async with connected(port) as silent:
            assert SHORT / 2 < await closed(silent) < SHORT + MARGIN
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            export = channel.unary_unary(EXPORT)
            assert await export(b"") == b""
            async with asyncio.timeout(SHORT + MARGIN):
                while (state := channel.get_state()) is grpc.ChannelConnectivity.READY:
                    await channel.wait_for_state_change(state)
            assert await export(b"") == b""


async def test_a_client_that_calls_again_and_again_begins_a_new_connection_now_and_then(tmp_path: Path) -> None:
    states = set[Any]()
    limits = Limits(age=SHORT, grace=MARGIN)
    async with (
        served(Traces(tmp_path), "127.0.0.1", 0, limits) as port,
        aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        export = channel.unary_unary(EXPORT)
        async with asyncio.timeout(20):
            while grpc.ChannelConnectivity.IDLE not in states:
                assert await export(b"") == b""
                states.add(channel.get_state())
        assert await export(b"") == b""


async def test_a_call_that_never_ends_is_cut_off(tmp_path: Path) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    limits = Limits(idle=SHORT, age=SHORT, grace=SHORT)
    async with (
        served(Traces(tmp_path), "127.0.0.1", 0, limits) as port,
        aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        began = asyncio.get_running_loop().time()
        with pytest.raises(aio.AioRpcError) as ended:
            await channel.stream_unary(EXPORT)(nothing(), timeout=60)
        assert ended.value.code() is not grpc.StatusCode.DEADLINE_EXCEEDED
        assert 1.5 * SHORT < asyncio.get_running_loop().time() - began < 2 * SHORT + MARGIN


@pytest.mark.parametrize("said", [b"", b"POST / HTTP/1.1\r\n", HELLO[:10]])
async def test_who_does_not_speak_its_language_is_closed(tmp_path: Path, said: bytes) -> None:
    async with (
        served(Traces(tmp_path), "127.0.0.1", 0, Limits(handshake=SHORT)) as port,
        connected(port, said) as stranger,
    ):
        assert await closed(stranger) < SHORT + MARGIN


async def test_when_there_is_no_room_a_silent_client_makes_some(tmp_path: Path) -> None:
    limits = Limits(connections=2, idle=2 * SHORT)
    async with served(Traces(tmp_path), "127.0.0.1", 0, limits) as port, connected(port) as one, connected(port) as two:
        await asyncio.gather(one.readexactly(9), two.readexactly(9))  # its settings: they are in
        with pytest.raises(aio.AioRpcError) as refused:
            await exported(port)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        await asyncio.gather(closed(one), closed(two))
        assert await exported(port) == b""
