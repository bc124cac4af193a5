"""`tulle forget SERVICE`: the mesh remembers a service's ports when nobody serves it any more; this makes it forget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tulle.cli import options
from tulle.cli.client import ControlPlane
from tulle.cli.exits import Mistakes
from tulle.model.names import DEFAULT_NAMESPACE, label_problem


@click.command("forget")
@click.argument("service")
@click.option("-n", "--namespace", metavar="NAME", help="The service's namespace.  [default: default]")
@options.data
def command(service: str, namespace: str | None, data: Path) -> None:
    """Forget a service that has no live instance.

    Callers of a service that has no instance are told so. Callers of one that is forgotten are told that there is no
    such service.

    \b
    Examples:
      tulle forget service-b
      tulle forget service-b.shop
    """
    name, _, given = service.partition(".")
    if given and namespace not in (None, given):
        raise Mistakes([f"{service} is in the namespace {given}, and --namespace says {namespace}"])
    space = given or namespace or DEFAULT_NAMESPACE
    if mistakes := list(filter(None, [label_problem("service name", name), label_problem("namespace", space)])):
        raise Mistakes(mistakes)
    ControlPlane(data).delete(f"/v1/services/{space}/{name}", dict[str, Any])
    click.echo(f"{name}.{space} is forgotten")
