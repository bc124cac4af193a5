"""What a real Envoy does with the settings of traces."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from policy_mesh import Mesh, Program, bootstrap, call, until
from started import launched
from tulle.envoy_api.messages import message
from tulle.ir.telemetry import Reporter, SpanTag, TagKind, Telemetry, Tracing
from tulle.translate import names
from tulle.translate.early_headers import early
from tulle.translate.http_manager import http_manager, router
from tulle.translate.telemetry.b3 import heeded_b3
from tulle.translate.telemetry.tracing import tracing

_CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Traced:
    """A door before a program. told: bodies that a collector got."""

    def __init__(self) -> None:
        self.program, self.told, self.port = Program("one"), list[bytes](), 0

    async def collect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.told.append(await reader.readuntil(b"\r\n0\r\n\r\n"))  # in chunks
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def _traced(folder: Path, of: Tracing) -> AsyncIterator[Traced]:
    async with AsyncExitStack() as stack:
        made, mesh, telemetry = Traced(), Mesh(folder, stack), Telemetry(tracing=of, service="web.default")
        made.program = await mesh.program("one")
        collector = await asyncio.start_server(made.collect, "127.0.0.1", 0)
        stack.callback(collector.close)
        ports = {"program": made.program.port, names.AGENT: collector.sockets[0].getsockname()[1]}
        route = {"match": {"prefix": "/"}, "route": {"cluster": "program"}}
        manager = http_manager(
            stat_prefix="traced",
            route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
            http_filters=[router()],
            **early(heeded_b3(telemetry)),
            **tracing(Reporter.SOURCE, telemetry),
        )
        door = message("envoy.config.listener.v3.Listener")(
            name="door",
            address={"socket_address": {"address": "127.0.0.1", "port_value": 0}},
            filter_chains=[{"filters": [manager]}],
        )
        clusters = [_cluster(name, port) for name, port in ports.items()]
        await stack.enter_async_context(launched(folder, bootstrap(clusters, [door])))

        async def port() -> int | None:
            try:
                (found,) = json.loads(await mesh.admin("/listeners?format=json"))["listener_statuses"]
            except (OSError, ValueError, KeyError):
                return None
            return int(found["local_address"]["socket_address"]["port_value"])

        made.port = await until(port)
        yield made


async def test_a_share_of_new_traces_is_kept_and_callers_decide_of_theirs(tmp_path: Path) -> None:
    async with _traced(tmp_path, Tracing(sampling=10.0)) as door:
        for _ in range(400):
            await call(door.port)
        kept = sum(request["traceparent"].endswith("-01") for request in door.program.requests)
        assert 10 <= kept <= 90  # 40 +- 6: more than five times as far is no chance
        for decision in ("00", "01"):
            for _ in range(20):
                await call(door.port, headers=[f"traceparent: {_CALLER[:-2]}{decision}"])
                assert door.program.requests[-1]["traceparent"].endswith(f"-{decision}")


async def test_where_no_context_is_passed_on_headers_are_as_they_came(tmp_path: Path) -> None:
    async with _traced(tmp_path, Tracing(sampling=100.0, propagates=False)) as door:
        await call(door.port)
        assert "traceparent" not in door.program.requests[-1]
        await call(door.port, headers=[f"traceparent: {_CALLER}"])
        assert door.program.requests[-1]["traceparent"] == _CALLER
        await until(lambda: door.told)


async def test_where_no_spans_are_told_headers_pass(tmp_path: Path) -> None:
    async with _traced(tmp_path, Tracing(sampling=100.0, reports=False)) as door:
        await call(door.port, headers=[f"traceparent: {_CALLER}"])
        assert door.program.requests[-1]["traceparent"] == _CALLER
        assert not door.told


async def test_spans_have_tags_of_every_kind_and_paths_no_longer_than_told(tmp_path: Path) -> None:
    tags = (
        SpanTag("a", TagKind.LITERAL, "literally"),
        SpanTag("b", TagKind.ENVIRONMENT, "TULLE_TEST_IS_NOT_SET", "by-default"),
        SpanTag("c", TagKind.HEADER, "x-kind", "none"),
        SpanTag("d", TagKind.HEADER, "x-missing", "no-such-header"),
        SpanTag("e", TagKind.FORMATTER, "said-%RESPONSE_CODE%"),
    )
    async with _traced(tmp_path, Tracing(sampling=100.0, tags=tags, longest_path=12)) as door:
        await call(door.port, "/0123456789abcdef", headers=["x-kind: of-a-header"])
        await until(lambda: door.told)
        told = b"".join(door.told)
        for value in ("literally", "by-default", "of-a-header", "no-such-header", "said-200", "web.default"):
            assert value.encode() in told
        assert b"/0123456789a" in told and b"/0123456789ab" not in told


_TRACE, _SPAN, _PARENT = "80f198ee56343ba864fe8b2a57d3eff7", "e457b5a2e4d86bd1", "05e3ac9a4f6e3b90"
_LONG, _SHORT = f"{_TRACE}-{_SPAN}", f"{_TRACE[16:]}-{_SPAN}"
_PADDED = "0" * 16 + _TRACE[16:]


def _several(trace: str = _TRACE, span: str = _SPAN, **more: str) -> list[str]:
    return [
        f"X-B3-TraceId: {trace}",
        f"X-B3-SpanId: {span}",
        *(f"X-B3-{name}: {value}" for name, value in more.items()),
    ]


_HEEDED = [
    # headers, trace, decision
    ([f"b3: {_LONG}-1"], _TRACE, "01"),
    ([f"b3: {_LONG}-1-{_PARENT}"], _TRACE, "01"),
    ([f"b3: {_LONG}-0-{_PARENT}"], _TRACE, "00"),
    ([f"b3: {_LONG}-d"], _TRACE, "01"),
    ([f"b3: {_SHORT}-1"], _PADDED, "01"),
    ([f"b3: {_SHORT}-0"], _PADDED, "00"),
    ([f"b3: {_LONG}-1", *_several(trace="1" * 32, Sampled="0")], _TRACE, "01"),  # the single one comes first
    (_several(Sampled="1"), _TRACE, "01"),
    (_several(Sampled="true", ParentSpanId=_PARENT), _TRACE, "01"),
    (_several(Sampled="0"), _TRACE, "00"),
    (_several(Sampled="false"), _TRACE, "00"),
    (_several(Flags="1"), _TRACE, "01"),
    (_several(Flags="1", Sampled="0"), _TRACE, "01"),
    (_several(Flags="0", Sampled="0"), _TRACE, "00"),
    (_several(trace=_TRACE[16:], Sampled="1"), _PADDED, "01"),
]
_NOT_HEEDED = [
    *(
        [f"b3: {said}"]
        for said in ("0", "1", "d", _TRACE, f"{_LONG}-2", f"{_LONG}-1-", f"{_LONG}-1-{_PARENT}-1", "-", f"{_LONG}x")
    ),
    *([f"b3: {said}-1"] for said in (_LONG.upper(), _LONG[1:], f"{_TRACE}-{_SPAN[1:]}", f"{'0' * 32}-{_SPAN}")),
    *(
        [f"b3: {said}-1"]
        for said in (f"{'0' * 16}-{_SPAN}", f"{_TRACE}-{'0' * 16}", _LONG.replace("8", "g"), f"00{_LONG}")
    ),
    [f"b3: {_LONG}-1", f"b3: {_LONG}-1"],
    _several(trace=_TRACE.upper(), Sampled="1"),
    _several(trace=_TRACE[1:], Sampled="1"),
    _several(trace="0" * 32, Sampled="1"),
    _several(span="0" * 16, Sampled="1"),
    _several(span=_SPAN + "0", Sampled="1"),
    _several(Sampled="yes"),
    _several(trace=f"{_TRACE}-{_SPAN}", Sampled="1"),
    ["X-B3-Sampled: 1"],
    ["X-B3-Flags: 1"],
    _several(Sampled="1")[:1],
    _several(Sampled="1")[1:],
]


async def test_b3_headers_are_heeded_where_they_are_well_formed(tmp_path: Path) -> None:
    async with _traced(tmp_path, Tracing(sampling=0.0, b3=True)) as door:
        for headers, trace, decision in _HEEDED:
            await call(door.port, headers=headers)
            got = door.program.requests[-1]
            version, of, _, flags = got["traceparent"].split("-")
            assert (version, of, flags) == ("00", trace, decision), headers
            assert all(got[name.lower()] == value for name, value in (line.split(": ") for line in headers))
        await until(lambda: bytes.fromhex(_SPAN) in b"".join(door.told))  # as the parent
        for headers in _NOT_HEEDED:
            await call(door.port, headers=headers)
            given = door.program.requests[-1]["traceparent"]
            assert given.endswith("-00") and not any(one in given for one in (_TRACE, _TRACE[16:], _SPAN)), headers
        for headers, *_ in _HEEDED:
            await call(door.port, headers=[*headers, f"traceparent: {_CALLER}"])
            assert door.program.requests[-1]["traceparent"].startswith(_CALLER[:36]), headers


async def test_where_b3_leaves_the_decision_open_each_sidecar_decides_the_same(tmp_path: Path) -> None:
    low, high = "f" * 24 + "3fffffff", "0" * 24 + "40000000"
    async with _traced(tmp_path, Tracing(sampling=25.0, b3=True)) as door:
        for trace, decision in ((low, "01"), (high, "00"), (low[16:], "01"), (high[16:], "00")):
            for headers in ([f"b3: {trace}-{_SPAN}"], [f"b3: {trace}-{_SPAN}-{_PARENT}"], _several(trace)):
                await call(door.port, headers=headers)
                version, of, _, flags = door.program.requests[-1]["traceparent"].split("-")
                assert (version, of, flags) == ("00", trace.rjust(32, "0"), decision), headers


async def test_b3_is_as_it_was_where_it_is_not_heeded(tmp_path: Path) -> None:
    async with _traced(tmp_path, Tracing(sampling=100.0)) as door:
        await call(door.port, headers=[f"b3: {_LONG}-1"])
        got = door.program.requests[-1]
        assert got["b3"] == f"{_LONG}-1" and _TRACE not in got["traceparent"]


def test_b3_is_heeded_only_where_spans_are_told_and_the_context_is_passed_on() -> None:
    assert heeded_b3(Telemetry(tracing=Tracing(b3=True)))
    for of in (None, Tracing(), Tracing(b3=True, reports=False), Tracing(b3=True, propagates=False)):
        assert not heeded_b3(Telemetry(tracing=of))


def _cluster(name: str, port: int) -> object:
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
    return message("envoy.config.cluster.v3.Cluster")(
        name=name, type="STATIC", load_assignment={"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
    )
