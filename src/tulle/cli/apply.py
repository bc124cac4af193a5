"""`tulle apply -f`: documents become resources of the mesh, all of them or none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from tulle.api.views import AppliedView, OutcomeView
from tulle.cli import options
from tulle.cli.client import ControlPlane
from tulle.cli.printing import print_json
from tulle.cli.resources import sending
from tulle.cli.resources.files import accepted, read, told
from tulle.cli.resources.waiting import wait_for
from tulle.sources.documents import Document


@click.command("apply")
@options.files()
@options.in_namespace
@options.dry_run
@options.wait
@click.option("-o", "--output", type=click.Choice(["json", "name"]), help="What to print.  [default: a line each]")
@options.data
def command(
    files: tuple[str, ...],
    namespace: str | None,
    dry_run: bool,
    wait: bool,
    timeout: float,
    output: str | None,
    data: Path,
) -> None:
    """Create resources, or change them to what documents say.

    The documents are Istio's, in YAML or JSON, several in a file. If one of them is refused, none is applied, and every
    problem is told as FILE:LINE: FIELD: MESSAGE. With --wait the exit code is 1 if a sidecar refuses the change, or some
    have not acknowledged it in time; it stays applied.

    \b
    Examples:
      tulle apply -f reviews.yaml
      tulle apply -f mesh/ --dry-run
      tulle apply -f reviews.yaml --wait --timeout 1m
      tulle apply -n shop -f - < reviews.yaml
    """
    documents = read(files)
    accepted(documents, namespace, quiet=True)  # the control plane says its warnings itself
    send(ControlPlane(data), documents, namespace, output, dry_run=dry_run, seconds=timeout if wait else None)


def send(
    control_plane: ControlPlane,
    documents: Sequence[Document],
    namespace: str | None,
    output: str | None,
    *,
    dry_run: bool,
    seconds: float | None,
    revisions: Sequence[int] = (),
) -> None:
    """Apply documents and say what came of it. seconds: for how long to wait until that is in force; None: not at all."""
    if seconds is None or dry_run:
        applied = sending.apply(control_plane, documents, namespace, dry_run=dry_run, revisions=revisions)
        _print(applied, output, dry_run=dry_run)
        return
    with sending.apply_and_follow(control_plane, documents, namespace, seconds, revisions=revisions) as (
        applied,
        steps,
    ):
        _print(applied, output, dry_run=False)
        wait_for(steps, seconds)


def _print(applied: AppliedView, output: str | None, *, dry_run: bool) -> None:
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
