"""Traces by the API: spans in, by OTLP; traces out, in our own words and in Jaeger's."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from typing import Any

import pytest

from tulle.api import jaeger, spans, traces
from tulle.envoy_api.messages import message
from tulle.telemetry.traces.otlp import REQUEST

TRACE = "0af7651916cd43dd8448eb211c80319c"
START = 1_800_000_000 * 10**9


def export() -> bytes:
    def one(id: bytes, parent: bytes, service: str, kind: int) -> dict[str, Any]:
        made = {"trace_id": bytes.fromhex(TRACE), "span_id": id * 8, "parent_span_id": parent * 8, "name": "GET /"}
        times = {"start_time_unix_nano": START, "end_time_unix_nano": START + 2_500_000}
        resource = {"attributes": [{"key": "service.name", "value": {"string_value": service}}]}
        return {"resource": resource, "scope_spans": [{"spans": [{**made, **times, "kind": kind}]}]}

    both = [one(b"1", b"", "web", 3), one(b"2", b"1", "db", 2)]
    return bytes(message(REQUEST)(resource_spans=both).SerializeToString())


async def sent(api: Any, path: str, body: bytes, kind: str = "application/x-protobuf", encoding: str = "") -> int:
    head = f"POST {path} HTTP/1.1\r\nHost: tulle\r\nAuthorization: Bearer {'5e' * 32}\r\nConnection: close\r\n"
    head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    head += f"Content-Encoding: {encoding}\r\n\r\n" if encoding else "\r\n"
    async with api.connection() as (reader, writer):
        writer.write(head.encode() + body)
        return int((await asyncio.wait_for(reader.read(), 10)).split()[1])


async def test_spans_that_came_by_otlp_are_found_in_our_words_and_in_jaegers(api: Any) -> None:
    assert await sent(api, "/v1/otlp/v1/traces", export()) == 200
    async with asyncio.timeout(10):
        while not (await api.ask("GET", "/v1/traces"))[1]["traces"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    (line,) = (await api.ask("GET", "/v1/traces?service=db&limit=5"))[1]["traces"]
    assert (line["id"], line["duration_ms"], line["spans"], line["services"]) == (TRACE, 2.5, 2, ["db", "web"])
    status, shown = await api.ask("GET", f"/v1/traces/{TRACE[:8]}")
    assert [(span["service"], span["parent"]) for span in shown["spans"]] == [("web", None), ("db", "31" * 8)]
    assert (await api.ask("GET", "/v1/traces/ffffffff"))[0] == 404
    assert (await api.ask("GET", "/v1/traces?min_ms=nan"))[0] == 400

    async def data(path: str) -> Any:
        status, answer = await api.ask("GET", path)
        assert (status, answer["errors"]) == (200, None), answer
        return answer["data"]

    assert await data("/api/services") == ["db", "web"]
    assert await data("/api/services/db/operations") == ["GET /"]
    assert await data("/api/operations?service=db") == [{"name": "GET /", "spanKind": "server"}]
    for query in (
        "",
        "&minDuration=2.5ms",
        "&operation=GET%20/",
        f"&start={START // 1000}&end={START // 1000}&limit=1",
    ):
        assert [one["traceID"] for one in await data(f"/api/traces?service=web{query}")] == [TRACE], query
    assert await data("/api/traces?service=web&maxDuration=2ms") == []
    assert await data('/api/traces?service=web&tags={"a":"b"}') == []
    assert len((await data(f"/api/traces/{TRACE.lstrip('0')}"))[0]["spans"]) == 2
    ends = START // 10**6 + 1
    assert await data(f"/api/dependencies?endTs={ends}&lookback=1000") == [
        {"parent": "web", "child": "db", "callCount": 1}
    ]
    for path in ("/api/traces", "/api/traces?service=a&minDuration=soon", "/api/traces?service=a&tags=[1]"):
        status, answer = await api.ask("GET", path)
        assert (status, answer["errors"][0]["code"]) == (400, 400), json.dumps(answer)
    assert (await api.ask("GET", "/api/traces/" + "9" * 32))[0] == 404


async def test_whole_traces_are_put_into_words_beside_the_loop(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    for module in (jaeger, traces):
        real = module._shown

        def watched(found: Any, real: Any = real) -> Any:
            threads.append(threading.current_thread())
            return real(found)

        monkeypatch.setattr(module, "_shown", watched)
    assert await sent(api, "/v1/otlp/v1/traces", export()) == 200
    async with asyncio.timeout(10):
        while not (await api.ask("GET", "/v1/traces"))[1]["traces"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    for path in (
        "/api/traces?service=web",
        f"/api/traces/{TRACE}",
        f"/api/traces?traceID={TRACE}",
        f"/v1/traces/{TRACE}",
    ):
        assert (await api.ask("GET", path))[0] == 200
    assert len(threads) == 4 and threading.main_thread() not in threads


async def test_only_protobuf_is_taken_and_only_of_proxies_that_are_registered(api: Any) -> None:
    assert await sent(api, "/v1/otlp/v1/traces", b"{}", "application/json") == 415
    assert await sent(api, "/v1/agents/web-3fa2c1/spans", export()) == 200
    assert await sent(api, "/v1/agents/nobody/spans", export()) == 503
    assert api.events == []


async def test_what_is_packed_is_unpacked_beside_the_loop_and_no_bomb_is(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, threads = spans._unpacked, []

    def watched(body: bytes) -> bytes:
        threads.append(threading.current_thread())
        return real(body)

    monkeypatch.setattr(spans, "_unpacked", watched)
    path, packed = "/v1/otlp/v1/traces", gzip.compress(export())
    bomb = gzip.compress(bytes(spans.MOST_BODY + 1))
    wrongs = ((bomb, 413), (packed[:-9], 413), (packed + packed, 400), (b"no gzip", 400))
    assert len(bomb) < 10_000
    assert await sent(api, path, packed, encoding="gzip") == 200
    for wrong, status in wrongs:
        assert await sent(api, path, wrong, encoding="gzip") == status
    assert await sent(api, path, packed, encoding="br") == 415
    assert len(threads) == 5 and threading.main_thread() not in threads
    async with asyncio.timeout(10):
        while not (await api.ask("GET", "/v1/traces"))[1]["traces"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
