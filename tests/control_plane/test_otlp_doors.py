"""Spans in by gRPC, as any SDK sends them, and on to another endpoint."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest

from tulle.control_plane import otlp_door
from tulle.envoy_api.messages import message
from tulle.telemetry.traces import onward
from tulle.telemetry.traces.keeper import Traces
from tulle.telemetry.traces.onward import BadEndpoint, Endpoint, Forwarding
from tulle.telemetry.traces.otlp import REQUEST
from tulle.xds.grpc_library import aio, grpc

ANSWER = "opentelemetry.proto.collector.trace.v1.ExportTraceServiceResponse"


async def test_what_an_exporter_sends_by_grpc_is_kept(tmp_path: Path) -> None:
    spans = [{"trace_id": b"t" * 16, "span_id": b"s" * 8, "name": "work"}]
    traces = Traces(tmp_path)
    keeping = asyncio.create_task(traces.keep())
    async with otlp_door.served(traces, "127.0.0.1", 0) as port, aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(
            f"/{otlp_door.SERVICE}/Export",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=message(ANSWER).FromString,
        )
        request = message(REQUEST)(resource_spans=[{"scope_spans": [{"spans": spans}]}])
        assert not (await call(request, compression=grpc.Compression.Gzip)).HasField("partial_success")
        async with asyncio.timeout(10):
            while not traces.counts().taken:  # noqa: ASYNC110  it is a thread that changes it
                await asyncio.sleep(0.01)
        with pytest.raises(otlp_door.Unavailable):
            async with otlp_door.served(traces, "127.0.0.1", port):
                pass
    keeping.cancel()
    await asyncio.wait([keeping])


async def test_spans_go_on_packed_again_after_a_failure_that_passes_and_not_after_a_refusal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(onward, "_BACK_OFF", (0.0, 0.0))
    monkeypatch.setattr(onward, "_GATHER_SECONDS", 0.0)
    answers, got, heads = ["503 Busy", "200 OK", "400 No"], [], []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].split()[0])
        got.append(gzip.decompress(await reader.readexactly(length)))
        heads.append(head)
        writer.write(f"HTTP/1.1 {answers.pop(0)}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        endpoint = Endpoint(f"http://127.0.0.1:{port}/up/", {onward.HEADERS: "api-key=a%20secret"})
        forwarding = Forwarding(endpoint)
        sending = asyncio.create_task(forwarding.send())
        forwarding.add(b"one", 1)
        async with asyncio.timeout(10):
            while not forwarding.sent:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            forwarding.add(b"two", 2)
            while not forwarding.lost:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        sending.cancel()
    assert got == [b"one", b"one", b"two"]
    assert heads[0].startswith("post /up/v1/traces ")
    assert "api-key: a secret" in heads[0]
    assert (forwarding.sent, forwarding.lost) == (1, 2)


@pytest.mark.parametrize("url", ["127.0.0.1:4318", "ftp://a", "http://", "http://u:p@a", "http://a:99999999"])
def test_what_is_no_endpoint_is_said_at_once(url: str) -> None:
    with pytest.raises(BadEndpoint):
        Endpoint(url)
