"""Who has called which port, from what sidecars have told."""

from __future__ import annotations

from tulle.api.callers_shown import callers
from tulle.api.figures_shown import Asked
from tulle.model.names import ServiceName
from tulle.model.workload import Workload
from tulle.telemetry.figures.memory import Figures
from tulle.telemetry.figures.report import Lost, Report, Series

API = Workload("api-1", ServiceName("shop", "api"), "api")
HOST = "api.shop.svc.cluster.local"
LABELS = {
    "reporter": "destination",
    "source_canonical_service": "web",
    "source_workload_namespace": "shop",
    "source_principal": "spiffe://cluster.local/ns/shop/sa/web",
    "connection_security_policy": "mutual_tls",
    "request_protocol": "http",
    "response_code": "200",
    "port": f"{HOST}:80",
}


async def test_the_servers_sidecar_tells_by_whom_and_at_which_port() -> None:
    now = 10_000.0
    figures = Figures(lambda: now)
    now += 20
    others: tuple[tuple[dict[str, str], float], ...] = (
        ({}, 3),
        ({"response_code": "403"}, 2),
        ({"port": f"{HOST}:81"}, 1),
        ({"reporter": "source", "destination_service_name": "db", "destination_service_namespace": "shop"}, 6),
    )
    series = [Series(LABELS | labels, requests=requests) for labels, requests in others]
    await figures.take("api-1", API, Report("b", 1, 2, series, Lost(0, 7)))
    found = await callers(figures, Asked(60.0, now, 1_000_000.0))
    assert [(row.port, row.requests, row.refused) for row in found.rows] == [(80, 5, 2), (81, 1, 0)]
    first = found.rows[0]
    assert (first.namespace, first.name, first.caller, first.protocol) == ("shop", "api", "shop/web", "http")
    assert (first.principal, first.connections) == (LABELS["source_principal"], 0)
    assert (found.since, found.lost) == (1_000_000.0 - 20, 7)  # no figures before
    for asked in (Asked(60.0, now, 0.0, namespace="other"), Asked(60.0, now, 0.0, service="shop/web")):
        assert (await callers(figures, asked)).rows == []
