"""`tulle status`: the control plane and its mesh in numbers."""

from __future__ import annotations

from pathlib import Path

import click

from tulle.api.views import CollectorView, StatusView
from tulle.cli import options
from tulle.cli.client import ControlPlane
from tulle.cli.printing import ago, print_facts, print_json, printable
from tulle.cli.proxies import print_problem


@click.command("status")
@options.output
@options.data
def command(output: str, data: Path) -> None:
    """Show the control plane and its mesh in numbers.

    \b
    Examples:
      tulle status
      tulle status -o json
    """
    status = ControlPlane(data).get("/v1/status", StatusView)
    if output == "json":
        print_json(status)
        return
    print_facts(
        [
            ("control plane", f"{status.version}, pid {status.pid}, running for {ago(status.started_at)}"),
            ("state folder", status.data),
            ("Envoy", f"{status.envoy}, configured on port {status.xds_port}"),
            ("dashboard", f"port {status.web_port}; `tulle ui` opens it" if status.web_port else "none"),
            ("services", str(status.services)),
            ("instances", f"{status.instances}, {status.healthy} of them healthy{_running(status.running)}"),
            ("sidecars", f"{status.proxies}, {status.connected} of them connected, {status.in_sync} in sync"),
            *([("unknown names", f"{status.refused} refused: a client asks for too many")] if status.refused else []),
            *(("collector", _untaken(collector)) for collector in status.collectors),
            *([("traces", f"none are kept: {printable(status.traces)}")] if status.traces else []),
        ]
    )
    for problem in status.problems:
        print_problem("in the mesh", problem)


def _untaken(collector: CollectorView) -> str:
    deliveries = "one delivery" if collector.failed == 1 else f"{collector.failed} deliveries"
    return f"{printable(collector.name)} did not take {deliveries} of spans or access logs in the last 5 minutes"


def _running(count: int) -> str:
    return f", {count} running (only calling others, or about to serve)" if count else ""
