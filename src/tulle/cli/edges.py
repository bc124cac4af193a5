"""`tulle edges`: who calls whom."""

from __future__ import annotations

from pathlib import Path

import click

from tulle.api.figure_views import EdgeView, GraphView
from tulle.cli import figures, options
from tulle.cli.client import ControlPlane
from tulle.cli.named import check, service_id
from tulle.cli.printing import print_json
from tulle.cli.signals import lines, milliseconds, rate, share, size, success_colour
from tulle.cli.stat_rows import NAMELESS
from tulle.telemetry.figures.flow import UNKNOWN

_HEADERS = ["FROM", "TO", "PROTOCOL", "RPS", "SUCCESS", "P95", "SENT", "SECURED", "IDENTITY"]
_SECURED = 0.9999


@click.command("edges")
@click.argument("service", required=False)
@figures.window
@options.namespace
@options.output
@options.data
def command(service: str | None, window: float, namespace: str | None, output: str, data: Path) -> None:
    """Show who calls whom.

    And how often, how well, whether by mutual TLS. All edges, or those of SERVICE (NAME or NAMESPACE/NAME). IDENTITY
    is what the caller proved.

    \b
    Examples:
      tulle edges
      tulle edges checkout --window 10m
      tulle edges -n shop -o json
    """
    query = [("window", repr(window))]
    if service:
        query.append(("focus", service_id(service, namespace)))
    elif namespace:
        query.append(("namespace", namespace))
    control_plane = ControlPlane(data)
    found = control_plane.get("/v1/graph", GraphView, query)
    if service and not found.edges:
        check(control_plane, service_id(service, namespace))
    if output == "json":
        print_json(found)
        return
    edges = sorted(found.edges, key=lambda edge: (-edge.rate, edge.source, edge.destination))
    for line in lines(
        _HEADERS, map(_row, edges), _HEADERS.index("SUCCESS"), [success_colour(edge.success) for edge in edges]
    ):
        click.echo(line)
    if any(edge.destination == UNKNOWN for edge in edges):
        click.echo(NAMELESS, err=True)
    if not edges:
        click.echo(f"no calls in the last {found.window:g} s", err=True)


def _row(edge: EdgeView) -> list[str]:
    secured = (
        "-"
        if edge.mtls is None
        else "mTLS"
        if edge.mtls >= _SECURED
        else "plain"
        if not edge.mtls
        else share(edge.mtls)
    )
    proved = edge.identities.source
    identity = f"{proved[0]} +{len(proved) - 1}" if len(proved) > 1 else (proved or ["-"])[0]
    ends = [edge.source.removeprefix("default/"), edge.destination.removeprefix("default/")]
    return [
        *ends,
        edge.protocol,
        rate(edge.rate),
        share(edge.success),
        milliseconds(edge.p95),
        size(edge.sent_rate),
        secured,
        identity,
    ]
