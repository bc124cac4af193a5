"""Spans: how many a second the control plane reads and writes on one core, and how many bytes of its file each takes.

As sidecars send them, in exports of 200, of traces with eight spans. The file is bounded, and full at the end of the second
figure: what is oldest makes room then.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure
from tulle.envoy_api.messages import message
from tulle.telemetry.traces import otlp
from tulle.telemetry.traces.database import Database
from tulle.telemetry.traces.otlp import Sender
from tulle.telemetry.traces.span import Span

_A_TRACE, _AN_EXPORT = 8, 200
_AT_ONCE = 10  # exports that are written together, about 1 MB
_SMALL = 8_000_000  # bytes of the file that gets full
_START = 1_800_000_000_000_000_000  # Unix time, nanoseconds
_SENDER = Sender("service-b-1", "service-b.default", "default")


def run(quick: bool) -> list[Figure]:
    exports = list(_exports(8_000 if quick else 100_000))
    spans = len(exports) * _AN_EXPORT
    note = f"{spans:,} spans in exports of {_AN_EXPORT}, {len(exports[0]) / _AN_EXPORT:.0f} bytes each as they come"
    with tempfile.TemporaryDirectory(prefix="tulle-bench-") as folder:
        path = Path(folder, "traces.db")
        read, written = _take(Database(path), exports)
        size = sum(file.stat().st_size for file in path.parent.iterdir())
        full = Database(Path(folder, "full.db"), _SMALL)
        _, making_room = _take(full, exports)
        kept = sum(file.stat().st_size for file in path.parent.glob("full.db*"))
    return [
        Figure("spans_rate", "spans taken a second, on one core", spans / (read + written), "spans/s", note=note),
        Figure("spans_read", "CPU to read a span", read / spans * 1e6, "µs"),
        Figure("spans_written", "CPU to write a span", written / spans * 1e6, "µs"),
        Figure(
            "spans_written_full",
            "CPU to write a span, where others must make room",
            making_room / spans * 1e6,
            "µs",
            note=f"{full.deleted:,} traces deleted; {kept / 1e6:.1f} MB of files for a bound of {_SMALL / 1e6:.0f}",
        ),
        Figure("span_bytes", "a span in the file", size / spans, "bytes", note="with all that finds it"),
    ]


def _take(database: Database, exports: list[bytes]) -> tuple[float, float]:
    """Seconds of CPU: to read them, to write them."""
    read = written = 0.0
    for first in range(0, len(exports), _AT_ONCE):
        began = time.process_time()
        spans: list[Span] = []
        for export in exports[first : first + _AT_ONCE]:
            request = otlp.parsed(export)
            otlp.stamp(request, _SENDER)
            spans += otlp.spans_of(request)
        between = time.process_time()
        database.write({"service-b.default": spans}, _START + first)
        read += between - began
        written += time.process_time() - between
    database.close()
    return read, written


def _exports(spans: int) -> Iterator[bytes]:
    resource = {"attributes": [_text("service.name", "service-b"), _text("telemetry.sdk.name", "envoy")]}
    for first in range(0, spans, _AN_EXPORT):
        made = [_span(number) for number in range(first, first + _AN_EXPORT)]
        scopes = [{"scope": {"name": "envoy"}, "spans": made}]
        export = message(otlp.REQUEST)(resource_spans=[{"resource": resource, "scope_spans": scopes}])
        yield bytes(export.SerializeToString())


def _span(number: int) -> dict[str, object]:
    """As Envoy tells of a call: its own attributes, and tulle's."""
    trace, place = divmod(number, _A_TRACE)
    start = _START + trace * 1_000_000 + place * 1000
    attributes = {
        "node_id": "service-b-1",
        "zone": "",
        "guid:x-request-id": f"{trace:08x}-1fd5-9a5f-8d3a-5d5b1c9a4f10",
        "http.url": f"http://service-b/orders/{trace}",
        "http.method": "GET",
        "downstream_cluster": "-",
        "user_agent": "python-requests/2.32",
        "http.protocol": "HTTP/1.1",
        "peer.address": "127.0.0.1",
        "request_size": "0",
        "response_size": "1008",
        "component": "proxy",
        "upstream_cluster": "inbound|service-b-1|80",
        "upstream_cluster.name": "inbound|service-b-1|80",
        "http.status_code": "200",
        "response_flags": "-",
        "upstream_address": "127.0.0.1:9080",
        "peer.identity": "spiffe://cluster.local/ns/default/sa/service-a",
        "istio.canonical_service": "service-b",
        "istio.canonical_revision": "v1",
        "istio.namespace": "default",
        "istio.mesh_id": "cluster.local",
        "istio.cluster_id": "tulle",
    }
    return {
        "trace_id": (trace + 1).to_bytes(16),
        "span_id": (number + 1).to_bytes(8),
        "parent_span_id": number.to_bytes(8) if place else b"",
        "name": "GET service-b.default.svc.cluster.local:80",
        "kind": 2,
        "start_time_unix_nano": start,
        "end_time_unix_nano": start + 12_000_000,
        "attributes": [_text(key, value) for key, value in attributes.items()],
    }


def _text(key: str, value: str) -> dict[str, object]:
    return {"key": key, "value": {"string_value": value}}
