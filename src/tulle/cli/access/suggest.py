"""`tulle authz suggest`: policies that allow what was called, as documents to be tried first."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from pathlib import Path

import click

from tulle.api.call_views import CalledView
from tulle.api.figure_views import CallersView
from tulle.api.views import ServiceView
from tulle.cli import figures, options
from tulle.cli.access.suggesting import KIND, Heard, Suggestion, app_labels, hear, suggested
from tulle.cli.client import ControlPlane
from tulle.cli.durations import seconds
from tulle.cli.exits import FAILED, Failed, Unreachable
from tulle.cli.named import missing
from tulle.cli.printing import ago, printable
from tulle.cli.resources.reading import selected
from tulle.cli.resources.yaml_text import to_yaml
from tulle.model.calls import MOST_A_SECOND
from tulle.model.names import DEFAULT_NAMESPACE

_WATCH = "60s"
_LONGEST_WATCH = 3600.0
_LATE = 5.0  # so many seconds may pass until calls are in the figures
_MOST_NAMED = 10


def _watch(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    try:
        found = seconds(value) if value is not None else None
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error
    if found is not None and not 1 <= found <= _LONGEST_WATCH:
        raise click.BadParameter(f"{value} is not between 1s and 1h", ctx, param)
    return found


@click.command("suggest")
@click.argument("service", required=False)
@figures.window_of("24h")
@click.option("--watch", metavar="DURATION", callback=_watch, help="Look at requests for so long, and name methods.")
@click.option("--paths", is_flag=True, help=f"Name paths as well; watches for {_WATCH} if --watch says nothing else.")
@click.option("--enforce", is_flag=True, help="Policies that count at once.  [default: dry runs]")
@options.namespace
@options.data
def command(
    service: str | None,
    window: float,
    watch: float | None,
    paths: bool,
    enforce: bool,
    namespace: str | None,
    data: Path,
) -> None:
    """Suggest policies that allow what was called, and nothing else.

    Of all services that were called, or of SERVICE (NAME or NAMESPACE/NAME). The policies are documents on stdout, by callers'
    identities and ports; they are dry runs, which only count what they would deny. What they are made of stands in comments, what
    is not known goes to stderr. With --watch requests are looked at while they happen, and rules name methods.

    \b
    Examples:
      tulle authz suggest
      tulle authz suggest reviews --window 1h > reviews.yaml
      tulle authz suggest shop/reviews --watch 5m --paths
      tulle authz suggest -n shop --enforce
    """
    control_plane = ControlPlane(data)
    wanted = (service if "/" in service else f"{namespace or DEFAULT_NAMESPACE}/{service}") if service else None
    watch = watch if watch is not None or not paths else seconds(_WATCH)
    watched = _watched(control_plane, wanted, namespace, watch) if watch is not None else None
    query = [("window", repr(window))]
    query += [("service", wanted)] if wanted else [("namespace", namespace)] if namespace else []
    found = control_plane.get("/v1/callers", CallersView, query)
    services = control_plane.get("/v1/services", list[ServiceView])
    made = suggested(found.rows, app_labels(services), watched, with_paths=paths, is_dry_run=not enforce)
    documents = [one for one in made if one.document]
    for number, one in enumerate(documents):
        click.echo(("---\n" if number else "") + _text(one), nl=False)
    for note in (*_unknown(services, found, made, wanted, namespace), *_replaced(control_plane, documents)):
        click.echo(printable(note), err=True)
    if not documents:
        sys.exit(FAILED)


def _text(one: Suggestion) -> str:
    comments = "".join(f"# {printable(line)}\n" for line in (f"{one.service} was called by", *_indented(one.notes)))
    return comments + to_yaml(one.document)


def _indented(notes: list[str]) -> list[str]:
    return [f"  {note}" for note in notes]


def _replaced(control_plane: ControlPlane, made: list[Suggestion]) -> list[str]:
    names = {one.document["metadata"]["name"] for one in made if one.document}
    spaces = {one.service.partition("/")[0] for one in made}
    there = selected(control_plane, [KIND], None) if names else []
    return [
        f"{KIND} {one.namespace}/{one.name} is there: to apply this one replaces it"
        for one in there
        if one.name in names and one.namespace in spaces
    ]


def _unknown(
    services: list[ServiceView],
    found: CallersView,
    made: list[Suggestion],
    wanted: str | None,
    namespace: str | None,
) -> list[str]:
    """What could not be known."""
    notes = []
    for one in made:
        if not one.document:
            notes.append(f"nothing is suggested for {one.service}, which was called by")
            notes += _indented(one.notes)
    called = {one.service for one in made}
    names = [f"{one.namespace}/{one.name}" for one in services]
    if wanted and wanted not in names and wanted not in called:
        raise Failed(missing(services, wanted))
    quiet = [
        name
        for name in sorted(names)
        if name not in called and wanted in (None, name) and (wanted or namespace in (None, name.partition("/")[0]))
    ]
    if quiet:
        more = f" and {len(quiet) - _MOST_NAMED} more" if len(quiet) > _MOST_NAMED else ""
        notes.append(f"nothing is suggested for those without calls: {', '.join(quiet[:_MOST_NAMED])}{more}")
    if found.since - (found.at - found.window) > 60:
        notes.append(f"figures go back {ago(found.since)} only: who called before that is not in it")
    if found.lost:
        notes.append(f"{found.lost} requests were not told apart by their sidecars: who made them may not be in it")
    return notes


def _watched(control_plane: ControlPlane, wanted: str | None, namespace: str | None, duration: float) -> Heard:
    """What is called for so many seconds."""
    query = [("side", "destination"), ("max_rps", str(MOST_A_SECOND * 10))]
    query += [("service", wanted)] if wanted else [("namespace", namespace)] if namespace else []
    heard: Heard = {}
    numbers: Counter[str] = Counter()
    problems: list[Exception] = []
    stopped = threading.Event()

    def follow() -> None:
        try:
            for call in control_plane.follow("/v1/tap", CalledView, query):
                if stopped.is_set():
                    return
                hear(heard, call)
                numbers.update(seen=1, lost=call.lost)
        except (Failed, Unreachable) as error:
            problems.append(error)

    click.echo(f"watching requests for {duration:g} s", err=True)
    # It ends with the process, as a stream without calls says nothing by which to end it.
    thread = threading.Thread(target=follow, daemon=True, name="watch")
    thread.start()
    thread.join(duration)
    if problems:
        raise problems[0]
    if not thread.is_alive():
        click.echo("the control plane ended the watch early", err=True)
    stopped.set()
    lost = f", and {numbers['lost']} came too fast to be told" if numbers["lost"] else ""
    click.echo(f"saw {numbers['seen']} requests{lost}", err=True)
    time.sleep(_LATE)
    return heard
