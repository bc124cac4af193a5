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
from tulle.translate.http_manager import http_manager, router
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
        made, mesh = Traced(), Mesh(folder, stack)
        made.program = await mesh.program("one")
        collector = await asyncio.start_server(made.collect, "127.0.0.1", 0)
        stack.callback(collector.close)
        ports = {"program": made.program.port, names.AGENT: collector.sockets[0].getsockname()[1]}
        route = {"match": {"prefix": "/"}, "route": {"cluster": "program"}}
        manager = http_manager(
            stat_prefix="traced",
            route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
            http_filters=[router()],
            **tracing(Reporter.SOURCE, Telemetry(tracing=of, service="web.default")),
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


def _cluster(name: str, port: int) -> object:
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
    return message("envoy.config.cluster.v3.Cluster")(
        name=name, type="STATIC", load_assignment={"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
    )
