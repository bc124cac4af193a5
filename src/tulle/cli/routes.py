"""`tulle routes`: which routes calls take, and how these fare."""

from __future__ import annotations

from pathlib import Path

import click

from tulle.cli import figures, options
from tulle.cli.client import ControlPlane
from tulle.cli.printing import print_json
from tulle.cli.stat_rows import notes, table


@click.command("routes")
@click.argument("service", required=False)
@figures.window
@options.namespace
@options.output
@options.data
def command(service: str | None, window: float, namespace: str | None, output: str, data: Path) -> None:
    """Show which routes calls take.

    And rate, success and latency of each. As callers saw it, after all tries. A route without a name is told by the
    document that made it; `-` is the service's own.

    \b
    Examples:
      tulle routes
      tulle routes reviews --window 10m
      tulle routes shop/checkout -o json
    """
    control_plane = ControlPlane(data)
    found = figures.asked(control_plane, "route", window, namespace, service)
    if output == "json":
        print_json(found)
        return
    for line in table(found, "route"):
        click.echo(line)
    for note in notes(found):
        click.echo(note, err=True)
