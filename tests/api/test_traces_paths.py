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
START = 1_700_000_000 * 10**9


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


# What Jaeger UI and Grafana's data source send and read, by their sources: `packages/jaeger-ui/src/api`, and in Grafana
# `pkg/tsdb/jaeger` and, before it, `public/app/plugins/datasource/jaeger`.
MICRO, MILLI = START // 1000, START // 10**6
SPAN_FIELDS = {"traceID", "spanID", "processID", "operationName", "references", "startTime", "duration", "tags", "logs"}


async def kept(api: Any) -> None:
    assert await sent(api, "/v1/otlp/v1/traces", export()) == 200
    async with asyncio.timeout(10):
        while not (await api.ask("GET", "/v1/traces"))[1]["traces"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_what_jaeger_ui_before_2_15_and_grafana_ask_for_is_answered(api: Any) -> None:
    await kept(api)

    async def data(path: str) -> Any:
        status, answer = await api.ask("GET", path)
        assert status == 200 and set(answer) == {"data", "total", "limit", "offset", "errors"}, answer
        return answer["data"]

    assert await data("/api/services/none/operations") == []
    assert await data("/api/operations?service=db&spanKind=server") == [{"name": "GET /", "spanKind": "server"}]
    assert await data("/api/operations?service=db&spanKind=client") == []
    searches = (
        # Jaeger UI: what is left open in its form has a name without a value.
        f"service=web&start={MICRO}&end={MICRO + 10**6}&limit=20&lookback=1h&maxDuration&minDuration&operation",
        'service=db&tags={"span.kind":"server"}&lookback=custom&minDuration=1.2ms&maxDuration=1m0.5s',
        # Grafana: start and end may be missing, and its tags are an object of texts.
        'service=web&tags={"span.kind":"client"}&limit=1500',
        f"traceID={TRACE}&traceID={'9' * 32}&prettyPrint=true&raw=true",
    )
    for search in searches:
        assert [one["traceID"] for one in await data(f"/api/traces?{search}")] == [TRACE], search
    # Grafana's plugin says of a trace by its id when it was: in milliseconds, its older one in microseconds.
    for times in (
        "",
        f"?start={MILLI - 1}&end={MILLI + 1}",
        f"?start={MICRO - 1}&end={MICRO + 1}",
        "?prettyPrint=true",
    ):
        (trace,) = await data(f"/api/traces/{TRACE.upper()}{times}")
        assert set(trace) >= {"traceID", "spans", "processes", "warnings"}
        root, child = sorted(trace["spans"], key=lambda span: len(span["references"]))
        assert set(root) >= SPAN_FIELDS and root["references"] == [] and root["startTime"] == MICRO
        assert child["references"] == [{"refType": "CHILD_OF", "traceID": TRACE, "spanID": root["spanID"]}]
        assert [trace["processes"][span["processID"]]["serviceName"] for span in (root, child)] == ["web", "db"]
        assert all(set(tag) == {"key", "type", "value"} for span in trace["spans"] for tag in span["tags"])
    edge = {"parent": "web", "child": "db", "callCount": 1}
    week = 7 * 24 * 3600 * 1000
    assert await data(f"/api/dependencies?endTs={MILLI + 1000}&lookback={week}") == [edge]
    assert await data(f"/api/dependencies?endTs={MILLI - 1}&lookback={week}") == []


async def test_jaeger_ui_learns_why_it_gets_nothing(api: Any) -> None:
    """It shows the texts of `errors`, and leaves its page of figures empty where it is told 501."""
    failures = {
        "/api/operations": 400,
        "/api/traces?service=a&start=yesterday": 400,
        "/api/traces/no-id": 400,
        f"/api/traces/{'9' * 32}": 404,
        "/api/dependencies?endTs=soon": 400,
        "/api/traces?service=a&minDuration=2s&maxDuration=1999ms": 400,
        "/api/traces?service=a&minDuration=-1s": 400,
        "/api/traces?service=a&tag=b": 400,
        "/api/traces?" + "&".join(f"traceID={number}" for number in range(101)): 400,
        "/api/metrics/latencies?service=web&quantile=0.95&endTs=1&lookback=1&step=1&ratePer=1&spanKind=server": 501,
    }
    for path, code in failures.items():
        status, answer = await api.ask("GET", path)
        assert status == code and answer["data"] is None, path
        assert [(error["code"], bool(error["msg"])) for error in answer["errors"]] == [(code, True)], path
    for path, code in (("/api/v3/operations", 400), ("/api/v3/traces/no-id", 400), (f"/api/v3/traces/{'9' * 32}", 404)):
        status, answer = await api.ask("GET", path)
        assert (status, answer["error"]["httpCode"]) == (code, code)


async def test_what_jaeger_ui_asks_for_from_2_15_on_is_answered(api: Any) -> None:
    await kept(api)
    assert await api.ask("GET", "/api/v3/services") == (200, {"services": ["db", "web"]})
    for kind in ("", "&spanKind=server", "&span_kind=SERVER"):
        status, answer = await api.ask("GET", f"/api/v3/operations?service=db{kind}")
        assert (status, answer) == (200, {"operations": [{"name": "GET /", "spanKind": "server"}]})
    summary = {
        "traceId": TRACE,
        "traceID": TRACE,
        "rootServiceName": "web",
        "rootOperationName": "GET /",
        "minStartTimeUnixNano": str(START),
        "maxEndTimeUnixNano": str(START + 2_500_000),
        "spanCount": 2,
        "errorSpanCount": 0,
        "orphanSpanCount": 0,
        "services": [
            {"name": "db", "spanCount": 1, "errorSpanCount": 0},
            {"name": "web", "spanCount": 1, "errorSpanCount": 0},
        ],
    }
    # 1,800,000,000 is 2023-11-14T22:13:20Z.
    asked = {
        "query.serviceName=web&query.startTimeMin=2023-11-14T22:13:19.999Z&query.startTimeMax=2023-11-14T22:13:20.001Z"
        '&query.searchDepth=20&query.durationMin=2ms&query.durationMax=3s&query.attributes={"span.kind":"client"}': 1,
        "query.service_name=web&query.span_name=GET%20/&query.start_time_min=2023-11-14T22:13:20.000Z&query.num_traces=1": 1,
        "query.serviceName=web&query.startTimeMin=2023-11-14T22:13:20.001Z": 0,
        "query.service_name=web&query.start_time_max=2023-11-14T22:13:19.999Z": 0,
        "query.serviceName=web&query.operationName=POST%20/": 0,
        "query.serviceName=web&query.duration_min=2.6ms": 0,
        "query.startTimeMin=0001-01-01T00:00:00Z&query.startTimeMax=9999-12-31T23:59:59Z": 1,
        "query.startTimeMin=9999-12-31T23:59:59Z": 0,
    }
    for query, count in asked.items():
        status, answer = await api.ask("GET", f"/api/v3/trace-summaries?{query}")
        assert (status, answer) == (200, {"summaries": [summary] * count}), query
    for wrong in ("startTimeMin=today", "startTimeMax=2023-11-14T22:13:20", "durationMax=long", "attributes=[]"):
        assert (await api.ask("GET", f"/api/v3/trace-summaries?query.{wrong}"))[0] == 400, wrong
    status, answer = await api.ask("GET", f"/api/v3/traces/{TRACE}")
    parts = answer["result"]["resourceSpans"]
    names = [part["resource"]["attributes"][0]["value"]["stringValue"] for part in parts]
    (db,), (web,) = ([one for scope in part["scopeSpans"] for one in scope["spans"]] for part in parts)
    assert (status, names, db["kind"], web["kind"]) == (200, ["db", "web"], 2, 3)
    assert (db["traceId"], db["parentSpanId"], "parentSpanId" in web) == (TRACE, web["spanId"], False)
    assert (web["startTimeUnixNano"], web["endTimeUnixNano"]) == (str(START), str(START + 2_500_000))


async def test_whole_traces_are_put_into_words_beside_the_loop(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    for module in (jaeger, traces):
        real = module._shown

        def watched(found: Any, real: Any = real) -> Any:
            threads.append(threading.current_thread())
            return real(found)

        monkeypatch.setattr(module, "_shown", watched)
    await kept(api)
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
