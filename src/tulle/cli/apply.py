"""`tulle apply -f`: documents become resources of the mesh, all of them or none."""

from __future__ import annotations

from pathlib import Path

import click

from tulle.api.views import OutcomeView
from tulle.cli import options
from tulle.cli.client import ControlPlane
from tulle.cli.printing import print_json
from tulle.cli.resources import sending
from tulle.cli.resources.files import accepted, read, told


@click.command("apply")
@options.files()
@options.in_namespace
@options.dry_run
@click.option("-o", "--output", type=click.Choice(["json", "name"]), help="What to print.  [default: a line each]")
@options.data
def command(files: tuple[str, ...], namespace: str | None, dry_run: bool, output: str | None, data: Path) -> None:
    """Create resources, or change them to what their documents say.

    The documents are Istio's, in YAML or JSON, several in a file. If one of them is refused, none is applied, and every
    problem is told as FILE:LINE: FIELD: MESSAGE.

    \b
    Examples:
      tulle apply -f reviews.yaml
      tulle apply -f mesh/ --dry-run
      tulle apply -n shop -f - < reviews.yaml
    """
    documents = read(files)
    accepted(documents, namespace, quiet=True)  # the control plane says its warnings itself
    applied = sending.apply(ControlPlane(data), documents, namespace, dry_run=dry_run)
    for warning in applied.warnings:
        click.echo(told(warning), err=True)
    print_outcomes(applied.outcomes, output, dry_run=dry_run)


def print_outcomes(outcomes: list[OutcomeView], output: str | None, *, dry_run: bool) -> None:
    """`virtualservice/reviews configured`, as kubectl does."""
    if output == "json":
        print_json(outcomes)
        return
    for one in outcomes:
        name = f"{one.kind.lower()}/{one.name}"
        click.echo(name if output == "name" else f"{name} {one.action.value}{' (dry run)' if dry_run else ''}")
