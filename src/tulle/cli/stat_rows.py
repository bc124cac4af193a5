"""What `tulle stat`, `top` and `routes` show of each kind of thing that is counted."""

from __future__ import annotations

from collections.abc import Sequence

from tulle.api.figure_views import InstancesView, StatsView, StatView
from tulle.cli.signals import lines, milliseconds, rate, share, size, success_colour
from tulle.telemetry.figures.flow import UNKNOWN

KINDS = {"services": "service", "workloads": "workload", "routes": "route", "proxies": "proxy"}
_SUCCESS = "SUCCESS"
_FEW = 100
NAMELESS = "unknown: calls to what looks like a name of the mesh, and is none; `tulle tap` shows to which"


def table(found: StatsView, kind: str) -> list[str]:
    headers = [*_NAMES[kind], _SUCCESS, "RPS", "P50", "P95", "P99", "MTLS"]
    has_tcp = any(row.tcp for row in found.rows)
    if has_tcp:
        headers += ["TCP", "SENT", "RECEIVED"]
    rows = [_row(row, kind, has_tcp=has_tcp) for row in found.rows]
    if any(row.unreached for row in found.rows):
        headers.append("UNREACHED")
        rows = [[*cells, str(row.unreached or "-")] for cells, row in zip(rows, found.rows, strict=True)]
    return lines(headers, rows, headers.index(_SUCCESS), [success_colour(row.success) for row in found.rows])


def notes(found: StatsView) -> list[str]:
    """What must be known beside the table."""
    said = []
    if not found.reporting:
        said.append("no sidecar has reported yet; agents report every few seconds")
    elif not any(row.requests or row.tcp for row in found.rows):
        said.append(f"no calls in the last {found.window:g} s")
    missing = sum(to - begin for begin, to in found.gaps)
    if missing and found.reporting:
        said.append(
            f"these are of {max(0, found.window - missing):.0f} s: of the other {missing:.0f} s nobody has told"
        )
    if any(not row.namespace and row.name == UNKNOWN for row in found.rows):
        said.append(NAMELESS)
    if any(0 < row.requests < _FEW for row in found.rows):
        said.append(
            f"P95 of fewer than 20 requests and P99 of fewer than {_FEW} say little more than how long the slowest took"
        )
    if found.lost.series or found.lost.requests:
        said.append(f"not told apart: {found.lost.series} series, {found.lost.requests} requests")
    return said


_NAMES = {
    "service": ["SERVICE", "NAMESPACE", "INSTANCES"],
    "workload": ["WORKLOAD", "SERVICE", "NAMESPACE"],
    "route": ["ROUTE", "SERVICE", "NAMESPACE", "FROM"],
    "proxy": ["PROXY", "SERVICE", "NAMESPACE"],
}


def _row(row: StatView, kind: str, *, has_tcp: bool) -> Sequence[str]:
    namespace = row.namespace or "-"
    names = {
        "service": [row.name, namespace, _instances(row.instances)],
        "workload": [row.workload or "-", row.name, namespace],
        "route": [row.route or "-", row.name, namespace, row.caller],
        "proxy": [row.proxy, row.name, namespace],
    }[kind]
    cells = [
        *names,
        share(row.success),
        rate(row.rate),
        *map(milliseconds, (row.p50, row.p95, row.p99)),
        share(row.mtls),
    ]
    if has_tcp:
        tcp = row.tcp
        cells += [str(tcp.open), size(tcp.sent_rate), size(tcp.received_rate)] if tcp else ["-", "-", "-"]
    return cells


def _instances(there: InstancesView | None) -> str:
    """`2/3`: how many take calls; `1 running`, of programs that only call others."""
    if there is None:
        return "-"
    if there.running == there.total > 0:
        return f"{there.running} running"
    return f"{there.healthy}/{there.total}" + (f" ({there.running} running)" if there.running else "")
