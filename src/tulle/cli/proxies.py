"""`tulle proxies`: the sidecars, and whether each holds the newest configuration."""

from __future__ import annotations

from pathlib import Path

import click

from tulle.api.views import MistakeView, ProxyView
from tulle.cli import options
from tulle.cli.client import ControlPlane
from tulle.cli.printing import ago, print_json, print_table, printable, yes


@click.command("proxies")
@options.namespace
@options.output
@options.data
def command(namespace: str | None, output: str, data: Path) -> None:
    """List the sidecars, and whether they are in sync.

    A sidecar is in sync when its Envoy has acknowledged all that it should hold. What an Envoy has rejected is listed
    with its reason; it keeps the last good configuration. So is what can't be
    made, by tulle's own mistake.

    \b
    Examples:
      tulle proxies
      tulle proxies -n shop -o json
    """
    proxies = [
        proxy
        for proxy in ControlPlane(data).get("/v1/proxies", list[ProxyView])
        if namespace in (None, proxy.namespace)
    ]
    if output == "json":
        print_json(proxies)
        return
    rows = [
        (
            proxy.id,
            proxy.service,
            proxy.namespace,
            proxy.health,
            yes(proxy.connected),
            yes(proxy.in_sync),
            ago(proxy.since),
            str(proxy.names),
        )
        for proxy in proxies
    ]
    print_table(("PROXY", "SERVICE", "NAMESPACE", "HEALTH", "CONNECTED", "IN SYNC", "SINCE", "ASKED"), rows)
    for proxy in proxies:
        print_rejected(proxy)


def print_rejected(proxy: ProxyView) -> None:
    for rejected in proxy.rejected:
        message = " ".join(rejected.message.split())
        click.echo(f"{click.style('rejected', fg='red')} by {proxy.id}: {rejected.resource}: {printable(message)}")
    for problem in proxy.problems:
        print_problem(f"at {proxy.id}", problem)


def print_problem(where: str, problem: MistakeView) -> None:
    message = " ".join(problem.message.split())
    click.echo(f"{click.style('problem', fg='red')} {where}: {printable(problem.part)}: {printable(message)}")
