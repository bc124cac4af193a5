"""Reports to the control plane, over a connection that is kept, and that the other side may close while it is idle."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tulle.agent.api import ControlPlane
from tulle.agent.reports import Reports

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Server:
    """Answers as many requests of a connection as `each` says, then closes it, as one does with what is idle."""

    def __init__(self, each: int) -> None:
        self.each, self.connections, self.bodies = each, 0, list[bytes]()
        self.closed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        for _ in range(self.each):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: "))
            self.bodies.append(await reader.readexactly(int(length.split()[1])))
            writer.write(ANSWER)
            await writer.drain()
        writer.close()
        self.closed.set()


@pytest.mark.parametrize("waits", [True, False])
async def test_a_report_goes_over_a_new_connection_where_the_old_one_was_closed_meanwhile(
    tmp_path: Path, waits: bool
) -> None:
    (tmp_path / "secret").write_text("5e" * 32)
    (tmp_path / "secret").chmod(0o600)
    server = Server(each=1)
    reports = Reports(ControlPlane(tmp_path), "a-1", "calls", "application/json")
    async with await asyncio.start_unix_server(server.serve, tmp_path / "api.sock"):
        assert await reports.send(b"one") == {}
        if waits:
            await server.closed.wait()
            await asyncio.sleep(0.01)
        assert await reports.send(b"two") == {}
        await reports.close()
    assert (server.bodies, server.connections) == ([b"one", b"two"], 2)


async def test_a_report_that_a_new_connection_does_not_take_has_failed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("5e" * 32)
    (tmp_path / "secret").chmod(0o600)
    server = Server(each=0)
    reports = Reports(ControlPlane(tmp_path), "a-1", "calls", "application/json")
    async with await asyncio.start_unix_server(server.serve, tmp_path / "api.sock"):
        for number in 1, 2:
            with pytest.raises(OSError):
                await reports.send(b"one")
            assert server.connections == number
