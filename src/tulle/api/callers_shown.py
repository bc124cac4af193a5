"""Who has called which port of what service, as the sidecars of the called have counted it."""

from __future__ import annotations

from collections import defaultdict

from tulle.api.figure_views import CallersView, CallerView
from tulle.api.figures_shown import Asked, is_wanted
from tulle.ir.telemetry import Reporter
from tulle.telemetry.figures.memory import Figures
from tulle.telemetry.figures.sums import Sum

_REFUSED = "403"


async def callers(figures: Figures, asked: Asked) -> CallersView:
    """asked.namespace, asked.service: of the called."""
    totals: defaultdict[tuple[str, str, int, str, str, str], Sum] = defaultdict(Sum)
    refused: defaultdict[tuple[str, str, int, str, str, str], float] = defaultdict(float)
    async for flow, total in figures.totals(asked.window, asked.at):
        if flow.reporter is Reporter.DESTINATION and is_wanted(flow.destination, asked):
            port = flow.port.rpartition(":")[2]  # after the host
            number = int(port) if port.isascii() and port.isdigit() else 0
            end = flow.destination
            key = (end.namespace, end.name, number, flow.protocol, flow.source.id, flow.source.principal)
            totals[key].add(total.numbers)
            refused[key] += total["requests"] if flow.code == _REFUSED else 0
    rows = [
        CallerView(*key, round(total["requests"]), round(refused[key]), round(total["opened"]))
        for key, total in sorted(totals.items(), key=lambda one: one[0])
    ]
    reach = min(asked.window, asked.at - figures.since)
    return CallersView(asked.window, asked.unix, asked.unix - max(0.0, reach), rows, round(figures.lost["requests"]))
