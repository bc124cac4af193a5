"""Figures as the API shows them: rows, a graph, a course over time. Each is made of sums over flows, and of who is alive.

Each is made in turns with what else runs on the event loop, as there may be thousands of flows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from tulle.aio.in_turns import in_turns
from tulle.api.figure_views import (
    EdgeView,
    GraphView,
    HistoryView,
    IdentitiesView,
    InstancesView,
    LostView,
    NodeView,
    PointView,
    StatsView,
    StatView,
    TcpView,
    VersionView,
)
from tulle.ir.telemetry import Reporter
from tulle.model.workload import Health
from tulle.resolve.mesh import Mesh
from tulle.telemetry.figures.flow import UNKNOWN, End, Flow
from tulle.telemetry.figures.golden_signals import SHARES, Served, Signals, counts
from tulle.telemetry.figures.memory import AT_ONCE, COARSE, COARSE_SLOTS, FINE, FINE_SLOTS, Figures
from tulle.telemetry.figures.sums import BUCKETS, REQUESTS, Sum

Key = tuple[str, ...]


class Asked(Struct, frozen=True):
    """window: seconds. at: by the figures' clock, its end. unix: what that is in Unix time.

    namespace, service: "" for all; the latter as `namespace/name`.
    """

    window: float
    at: float
    unix: float
    namespace: str = ""
    service: str = ""


class Instances(Struct, frozen=True):
    """Who is alive, by service (`namespace/name`)."""

    by_service: Mapping[str, InstancesView]

    @classmethod
    def of(cls, mesh: Mesh) -> Instances:
        found: dict[str, InstancesView] = {}
        for name, service in mesh.services.items():
            if name.namespace and (service.instances or service.ports):
                healths = Counter(one.workload.health for one in service.instances)
                there = InstancesView(healths[Health.HEALTHY], healths.total(), healths[Health.RUNNING])
                found[f"{name.namespace}/{name.name}"] = there
        return cls(found)


async def stats(figures: Figures, instances: Instances, kind: str, asked: Asked) -> StatsView:
    """kind: one of `service`, `workload`, `route`, `proxy`."""
    length = _length(figures, asked)
    groups: defaultdict[Key, Served] = defaultdict(lambda: Served(length))
    if kind == "proxy":
        async for proxy, flow, total in figures.totals_of_proxies(asked.window, asked.at):
            if flow.reporter is Reporter.DESTINATION and is_wanted(flow.destination, asked):
                groups[flow.destination.namespace, flow.destination.name, proxy].add(flow, total)
    else:
        async for flow, total in figures.totals(asked.window, asked.at):
            if kind == "route":
                # A route is its caller's: only that one's sidecar knows of it.
                if flow.reporter is Reporter.SOURCE and is_wanted(flow.destination, asked):
                    groups[_route_key(flow)].add(flow, total)
            elif counts(flow) and is_wanted(flow.destination, asked):
                workload = (flow.destination.workload, flow.destination.version) if kind == "workload" else ()
                groups[(flow.destination.namespace, flow.destination.name, *workload)].add(flow, total)
    if kind == "service":
        for name in instances.by_service:
            namespace, _, service = name.partition("/")
            if is_wanted(End(namespace, service), asked):
                groups[namespace, service]
    rows = [_row(kind, key, found, instances) async for key, found in in_turns(groups.items(), AT_ONCE)]
    rows.sort(key=lambda row: (-row.rate, row.namespace, row.name, row.workload, row.route, row.proxy))
    lost = figures.lost
    return StatsView(
        asked.window,
        asked.unix,
        rows,
        LostView(int(lost["series"]), int(lost["requests"])),
        _gaps(figures, asked),
        figures.reporting,
    )


def _route_key(flow: Flow) -> Key:
    return (flow.destination.namespace, flow.destination.name, flow.route, flow.source.id)


def is_wanted(end: End, asked: Asked) -> bool:
    return (not asked.namespace or end.namespace == asked.namespace) and asked.service in ("", end.id)


def _row(kind: str, key: Key, served: Served, instances: Instances) -> StatView:
    namespace, name, *rest = key
    found = served.signals
    p50, p95, p99 = found.percentiles()
    return StatView(
        kind=kind,
        namespace=namespace,
        name=name,
        requests=round(found.requests),
        rate=round(found.rate, 3),
        success=_share(found.success),
        p50=_ms(p50),
        p95=_ms(p95),
        p99=_ms(p99),
        mtls=_share(found.mtls),
        codes=_counts(found.codes),
        flags=_counts(found.flags),
        tcp=_tcp(found),
        instances=instances.by_service.get(f"{namespace}/{name}") if kind == "service" else None,
        workload=rest[0] if kind == "workload" else "",
        route=rest[0] if kind == "route" else "",
        proxy=rest[0] if kind == "proxy" else "",
        caller=rest[1] if kind == "route" else "",
        version=rest[1] if kind == "workload" else "",
        unreached=served.unreached,
    )


async def graph(figures: Figures, instances: Instances, asked: Asked, focus: str = "", hops: int = 1) -> GraphView:
    """asked.namespace: only its nodes, and those with which they have to do."""
    length = _length(figures, asked)
    edges: defaultdict[tuple[str, str], Signals] = defaultdict(lambda: Signals(length))
    ends: dict[str, End] = {}
    identities: defaultdict[tuple[str, str], tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    inward: defaultdict[str, Served] = defaultdict(lambda: Served(length))
    versions: defaultdict[str, dict[str, Served]] = defaultdict(dict)
    async for flow, total in figures.totals(asked.window, asked.at):
        if not counts(flow):
            continue
        pair = (flow.source.id, flow.destination.id)
        edges[pair].add(flow, total)
        inward[flow.destination.id].add(flow, total)
        version = versions[flow.destination.id].setdefault(flow.destination.version, Served(length))
        version.add(flow, total)
        for end, proved in zip((flow.source, flow.destination), identities[pair], strict=True):
            ends.setdefault(end.id, end)
            if end.principal:
                proved.add(end.principal)
    for name in instances.by_service:
        namespace, _, service = name.partition("/")
        ends.setdefault(name, End(namespace, service))
    shown = _shown(ends, edges, asked.namespace, focus, hops)
    nodes = [
        _node(ends[name], inward[name], versions[name], instances) async for name in in_turns(sorted(shown), AT_ONCE)
    ]
    seen = sorted(pair for pair in edges if pair[0] in shown and pair[1] in shown)
    drawn = [_edge(pair, edges[pair], identities[pair]) async for pair in in_turns(seen, AT_ONCE)]
    return GraphView(asked.window, asked.unix, nodes, drawn, len(ends) - len(nodes))


def _shown(
    ends: Mapping[str, End], edges: Iterable[tuple[str, str]], namespace: str, focus: str, hops: int
) -> set[str]:
    pairs = list(edges)
    if focus:
        found = {focus} & ends.keys()
        for _ in range(hops):
            found |= {one for pair in pairs if found & set(pair) for one in pair}
        return found
    if namespace:
        own = {name for name, end in ends.items() if end.namespace == namespace}
        return own | {one for pair in pairs if own & set(pair) for one in pair}
    return set(ends)


def _node(end: End, served: Served, versions: Mapping[str, Served], instances: Instances) -> NodeView:
    found = served.signals
    kind = "service" if end.namespace else "unknown" if end.name == UNKNOWN else "external"
    named = [
        VersionView(version, round(one.signals.rate, 3), _share(one.signals.success))
        for version, one in sorted(versions.items())
        if version
    ]
    return NodeView(
        end.id,
        kind,
        end.namespace,
        end.name,
        named,
        round(found.rate, 3),
        _share(found.success),
        _ms(found.sum.percentile(0.95)),
        instances.by_service.get(end.id),
        served.unreached,
    )


def _edge(pair: tuple[str, str], found: Signals, proved: tuple[set[str], set[str]]) -> EdgeView:
    p50, p95, p99 = found.percentiles()
    return EdgeView(
        *pair,
        protocol=found.protocol,
        requests=round(found.requests),
        rate=round(found.rate, 3),
        success=_share(found.success),
        p50=_ms(p50),
        p95=_ms(p95),
        p99=_ms(p99),
        mtls=_share(found.mtls),
        sent_rate=round(found.per_second("sent") + found.per_second("response_bytes"), 1),
        received_rate=round(found.per_second("received") + found.per_second("request_bytes"), 1),
        identities=IdentitiesView(sorted(proved[0]), sorted(proved[1])),
        codes=_counts(found.codes),
        flags=_counts(found.flags),
        tcp=_tcp(found),
    )


async def history(
    figures: Figures,
    asked: Asked,
    step: float,
    workload: str = "",
    caller: str = "",
    unix_of: Callable[[float], float] = float,
) -> HistoryView:
    """Of calls to a service, all of the mesh if none is named. step: a multiple of the slots' length."""
    fine = asked.window <= FINE * FINE_SLOTS and step < COARSE
    slot = FINE if fine else COARSE
    many = max(1, round(step / slot))
    last = int(asked.at // slot)
    first = last - max(1, round(asked.window / slot)) + 1
    first = max(first, last - (FINE_SLOTS if fine else COARSE_SLOTS) + 1)
    first += (last - first + 1) % many
    count = last - first + 1
    columns = {place: [0.0] * count for place in (REQUESTS, *BUCKETS)}
    failed, told = {REQUESTS: [0.0] * count}, bytearray(count)
    own: defaultdict[str, bytearray] = defaultdict(
        lambda: bytearray(count)
    )  # by service: when its sidecars told of calls

    def wanted(flow: Flow) -> bool:
        return (
            counts(flow)
            and is_wanted(flow.destination, asked)
            and workload in ("", flow.destination.workload)
            and caller in ("", flow.source.id)
        )

    # What callers alone tell of a service is shown where it tells of nothing itself: golden_signals.py.
    for by in (Reporter.DESTINATION, Reporter.SOURCE):
        async for flow, ring in figures.rings(lambda flow, by=by: flow.reporter is by and wanted(flow), fine=fine):  # type: ignore[misc]
            if by is Reporter.DESTINATION:
                ring.mark(own[flow.destination.id], first)
            without = own.get(flow.destination.id) if by is Reporter.SOURCE else None
            ring.add_to(columns, told, first, without)
            if flow.is_error and not flow.is_tcp:
                ring.add_to(failed, told, first, without)
    length = many * slot
    points: list[PointView | None] = []
    for place in range(0, count, many):
        begin, part = (first + place) * slot, slice(place, place + many)
        is_since = begin + length > figures.since
        if any(told[part]) or (is_since and figures.is_present(asked.service, begin, begin + length)):
            total = Sum()
            for which, column in columns.items():
                total.numbers[which] = sum(column[part])
            points.append(_point(unix_of(begin), total, sum(failed[REQUESTS][part]), length))
        else:
            points.append(None)
    return HistoryView(length, unix_of(first * slot), points)


def _point(t: float, total: Sum, failed: float, length: float) -> PointView:
    p50, p95, p99 = map(_ms, total.percentiles(SHARES))
    return PointView(round(t, 3), round(total["requests"] / length, 3), round(failed / length, 3), p50, p95, p99)


def _length(figures: Figures, asked: Asked) -> float:
    """Seconds of the window in which anything could be told: rates are over these."""
    silent = sum(end - begin for begin, end in figures.silences(asked.at - asked.window, asked.at))
    return max(FINE, asked.window - silent)


def _gaps(figures: Figures, asked: Asked) -> list[tuple[float, float]]:
    offset = asked.unix - asked.at
    silences = figures.silences(asked.at - asked.window, asked.at)
    return [(round(begin + offset, 3), round(end + offset, 3)) for begin, end in silences]


def _tcp(found: Signals) -> TcpView | None:
    if not found.carries_tcp:
        return None
    opened, closed = found.sum["opened"], found.sum["closed"]
    sent, received = found.per_second("sent"), found.per_second("received")
    return TcpView(round(opened), round(max(0.0, opened - closed)), round(sent, 1), round(received, 1))


def _counts(counted: Mapping[str, float]) -> dict[str, int]:
    return {name: round(count) for name, count in sorted(counted.items()) if round(count)}


def _share(share: float | None) -> float | None:
    return None if share is None else round(min(1.0, max(0.0, share)), 6)


def _ms(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 3)
