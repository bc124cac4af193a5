"""`tulle stat`: rate, success and latency of services, workloads, routes or proxies."""

from __future__ import annotations

import time
from pathlib import Path

import click

from tulle.cli import figures, options
from tulle.cli.client import ControlPlane
from tulle.cli.printing import print_json
from tulle.cli.stat_rows import KINDS, notes, table

_EVERY = 2.0


@click.command("stat")
@figures.what(list(KINDS))
@figures.window
@click.option("-w", "--watch", is_flag=True, help="Print it again every two seconds, until Ctrl-C.")
@options.namespace
@options.output
@options.data
def command(
    what: tuple[str, str | None], window: float, watch: bool, namespace: str | None, output: str, data: Path
) -> None:
    """Show rate, success and latency of calls.

    Of services, workloads (a service's version), routes or proxies; all, or those of SERVICE (NAME or NAMESPACE/NAME). Success
    is what was
    answered without a failure of the server: no 5xx, no lost connection. A call between two sidecars counts once.
    Latencies are estimates, read off a histogram's buckets (0.5, 1, 5, 10, 25, 50, 100, 250 ms and so on).

    \b
    Examples:
      tulle stat
      tulle stat reviews
      tulle stat workloads reviews --window 10m
      tulle stat routes -n shop
      tulle stat proxies checkout -w
    """
    control_plane, (kind, name) = ControlPlane(data), what
    try:
        while True:
            found = figures.asked(control_plane, KINDS[kind], window, namespace, name)
            if output == "json":
                print_json(found)
            else:
                for line in table(found, KINDS[kind]):
                    click.echo(line)
                for note in notes(found):
                    click.echo(note, err=True)
            if not watch:
                return
            time.sleep(_EVERY)
            if output != "json":
                click.echo()
    except KeyboardInterrupt:
        return
