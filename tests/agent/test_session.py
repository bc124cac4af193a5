"""The agent's session while the control plane is no longer what it was."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tulle.agent import http1
from tulle.agent.api import ControlPlane
from tulle.agent.config import AgentConfig, Port
from tulle.agent.console import Console
from tulle.agent.decision_counts import Counts, Kind
from tulle.agent.health import Health
from tulle.agent.offer import Offer
from tulle.agent.ports import reserve
from tulle.agent.session import Session
from tulle.model.decisions import What


async def test_a_question_that_can_not_even_be_sent_is_left_unanswered_when_the_session_breaks(tmp_path: Path) -> None:
    config = AgentConfig(service="a", data=str(tmp_path), command=("true",), service_account="a")
    # Who hangs there takes nothing in, so a question waits to be sent.
    server = await asyncio.start_unix_server(lambda _reader, _writer: None, tmp_path / "hanging.sock")
    with reserve(config.service_ports) as ports:
        session = Session(
            *(config, "a-000001", ports, Offer((Port(80),), "seccomp"), Health(), ControlPlane(tmp_path)),
            Console("text", "a-000001", sys.stderr),
        )
        async with server:
            connection = await http1.unix_connection(tmp_path / "hanging.sock")
            session._connection, session.is_connected = connection, True
            full = asyncio.create_task(connection.send_chunk(bytes(1 << 22)))
            asked = asyncio.create_task(session.address_of("db.default.svc.cluster.local"))
            await asyncio.sleep(0.01)
            assert not full.done()
            session._leave_unanswered()
            connection._writer.transport.abort()
            with pytest.raises(ConnectionError):
                await asked
            await full


async def test_a_service_that_the_sidecar_never_takes_connections_to_is_no_absent_one(tmp_path: Path) -> None:
    config = AgentConfig(service="a", data=str(tmp_path), command=("true",), service_account="a")
    server = await asyncio.start_unix_server(lambda _reader, _writer: None, tmp_path / "silent.sock")
    with reserve(config.service_ports) as ports:
        session = Session(
            *(config, "a-000001", ports, Offer((Port(80),), "seccomp"), Health(), ControlPlane(tmp_path)),
            Console("text", "a-000001", sys.stderr),
        )
        async with server:
            session._connection = await http1.unix_connection(tmp_path / "silent.sock")
            session.is_connected = True
            asked = asyncio.create_task(session.address_of("db.default.svc.cluster.local"))
            await asyncio.sleep(0)
            await session._hear({"resolved": "db.default.svc.cluster.local", "problem": "the sidecar rejected it"})
            with pytest.raises(OSError, match="the sidecar rejected it"):
                await asked
            session._connection.close()


async def test_each_session_is_told_all_decisions_that_were_counted_and_then_what_is_new(tmp_path: Path) -> None:
    config = AgentConfig(service="a", data=str(tmp_path), command=("true",), service_account="a")
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if line.startswith(b"{"):  # and not the length of a chunk
                heard.put_nowait(line)
        writer.close()

    async def counts() -> list[int]:
        told = json.loads(await asyncio.wait_for(heard.get(), 5))["decisions"]
        return [one["count"] for one in told["counts"]]

    server = await asyncio.start_unix_server(hear, tmp_path / "hearing.sock")
    with reserve(config.service_ports) as ports:
        session = Session(
            *(config, "a-000001", ports, Offer((Port(80),), "seccomp"), Health(), ControlPlane(tmp_path)),
            Console("text", "a-000001", sys.stderr),
        )
        session.decisions = Counts()
        kind = Kind(What.DENIED, "AuthorizationPolicy a/b", "spec.rules[0]", "x")
        async with server:
            for number in (1, 3):
                connection = await http1.unix_connection(tmp_path / "hearing.sock")
                session.decisions.add(kind)
                telling = asyncio.create_task(session._tell_decisions(connection))
                assert await counts() == [number]
                session.decisions.add(kind)
                assert await counts() == [number + 1]
                telling.cancel()
                await asyncio.wait([telling])
                connection.close()


@pytest.mark.parametrize(
    "line", [b"5", b"[]", b'{"do": 5}', b'{"weight": null}', b'{"restart": 1, "within": []}', b"{"]
)
async def test_a_line_that_makes_no_sense_ends_the_session_and_not_the_agent(line: bytes, tmp_path: Path) -> None:
    config = AgentConfig(service="a", data=str(tmp_path), command=("true",), service_account="a")

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + line + b"\n")
        writer.close()

    with reserve(config.service_ports) as ports:
        session = Session(
            *(config, "a-000001", ports, Offer((Port(80),), "seccomp"), Health(), ControlPlane(tmp_path)),
            Console("text", "a-000001", sys.stderr),
        )
        async with (
            await asyncio.start_unix_server(serve, tmp_path / "s"),
            http1.over_unix(tmp_path / "s") as connection,
        ):
            await connection.response()
            with pytest.raises(http1.BadResponse, match="makes no sense"):
                await session._listen(connection, asyncio.TaskGroup())
