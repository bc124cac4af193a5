"""`tulle delete`: resources go, by name or by the documents that made them, all of them or none."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from tulle.api.views import OutcomeView, ProgressView
from tulle.cli import options
from tulle.cli.apply import print_outcomes
from tulle.cli.client import ControlPlane
from tulle.cli.exits import FAILED, Mistakes
from tulle.cli.resources.files import read, refs_of
from tulle.cli.resources.kinds import named
from tulle.cli.resources.reading import ref_of, selected
from tulle.cli.resources.waiting import wait_for
from tulle.model.names import DEFAULT_NAMESPACE
from tulle.model.resources.resource import Ref

_WITHIN = 60.0


@click.command("delete")
@click.argument("what", nargs=-1, metavar="[KIND[/NAME] [NAME]...]")
@options.files(required=False)
@options.in_namespace
@options.labels
@click.option("--all", "everything", is_flag=True, help="All of the KIND in the namespace.")
@click.option("--ignore-not-found", is_flag=True, help="What is not there is no failure.")
@options.dry_run
@options.wait
@options.data
def command(
    what: tuple[str, ...],
    files: tuple[str, ...],
    namespace: str | None,
    labels: str,
    everything: bool,
    ignore_not_found: bool,
    dry_run: bool,
    wait: bool,
    timeout: float,
    data: Path,
) -> None:
    """Delete resources.

    Those that are there go together, as one change. What is not there is told, and makes the exit code 1.

    \b
    Examples:
      tulle delete vs reviews
      tulle delete vs/reviews dr/reviews -n shop
      tulle delete -f mesh/
      tulle delete vs -l team=books
    """
    if bool(what) == bool(files):
        raise Mistakes(["say what to delete: KIND NAME, or the files that declare it with -f"])
    control_plane = ControlPlane(data)
    if files:
        if labels or everything:
            raise Mistakes(["--selector and --all are for a KIND, not for files"])
        refs = refs_of(read(files), namespace)
    else:
        refs = _named(control_plane, what, namespace, labels, everything)
    body = msgspec.json.encode(refs)
    gone = _deleted(control_plane, body, dry_run=dry_run, seconds=timeout if wait else None)
    there = {Ref(one.kind, one.namespace, one.name) for one in gone}
    missing = [ref for ref in refs if ref not in there]
    for ref in () if ignore_not_found else missing:
        click.echo(f"Error: there is no {ref}", err=True)
    if missing and not ignore_not_found:
        raise click.exceptions.Exit(FAILED)


def _deleted(control_plane: ControlPlane, body: bytes, *, dry_run: bool, seconds: float | None) -> list[OutcomeView]:
    """Those that were there, after telling them. seconds: for how long to wait until no sidecar goes by them any more."""
    path = "/v1/resources/delete"
    if seconds is None or dry_run:
        query = [("dry_run", "1")] if dry_run else []
        gone = control_plane.post(path, list[OutcomeView], _WITHIN, body, query)
        print_outcomes(gone, None, dry_run=dry_run)
        return gone
    query = [("wait", f"{seconds:g}")]
    follow = control_plane.post_and_follow(path, list[OutcomeView], ProgressView, _WITHIN + seconds, body, query)
    with follow as (gone, steps):
        print_outcomes(gone, None, dry_run=False)
        wait_for(steps, seconds)
    return gone


def _named(
    control_plane: ControlPlane, what: tuple[str, ...], namespace: str | None, labels: str, everything: bool
) -> list[Ref]:
    """Raises Mistakes."""
    kinds, pairs = named(what)
    if pairs and (labels or everything):
        raise Mistakes(["a name, and --selector or --all, contradict each other"])
    if kinds and not (labels or everything):
        raise Mistakes([f"say which {kinds[0]}: a name, --selector or --all"])
    if pairs:
        return list(dict.fromkeys(ref_of(kind, name, namespace) for kind, name in pairs))
    found = selected(control_plane, kinds, namespace or DEFAULT_NAMESPACE, labels)
    return [Ref(one.kind, one.namespace, one.name) for one in found]
