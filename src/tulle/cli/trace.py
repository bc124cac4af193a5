"""`tulle trace`: which calls one call has brought about, and where the time went."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from urllib.parse import quote

import click

from tulle.api.trace_views import TraceLine, TracesView, TraceView
from tulle.cli import options
from tulle.cli.client import ControlPlane
from tulle.cli.durations import seconds
from tulle.cli.exits import Mistakes
from tulle.cli.named import check, service_id
from tulle.cli.printing import print_json, print_table, printable
from tulle.cli.waterfall import duration, is_one_hop, rows

_SHORT_ID = 12
_CROWDED = 0.5
_ONE_HOP = (
    "This trace is one call. If its program calls others to answer it, they are traces of their own: the program does not "
    "pass on the header traceparent. Start it with: tulle run --trace"
)


@click.command("trace")
@click.argument("action", type=click.Choice(["ls", "show"]))
@click.argument("id", required=False)
@click.option("--service", metavar="NAME", help="With ls: traces in which this service took part.")
@click.option("-n", "--namespace", metavar="NAME", default="default", show_default=True, help="Of that service.")
@click.option(
    "--min", "shortest", metavar="DURATION", help="With ls: traces that took as long or longer, such as 300ms."
)
@click.option("--errors", is_flag=True, help="With ls: traces in which something failed.")
@click.option("--since", metavar="DURATION", help="With ls: traces that are not older, such as 10m.  [default: all]")
@click.option(
    "--limit", type=click.IntRange(1, 1500), default=20, show_default=True, help="With ls: how many, the newest first."
)
@options.output
@options.data
def command(
    action: str,
    id: str | None,
    service: str | None,
    namespace: str,
    shortest: str | None,
    errors: bool,
    since: str | None,
    limit: int,
    output: str,
    data: Path,
) -> None:
    """List traces, or show who called whom, and how long.

    A trace is all that one call has brought about. `show` takes its id, or the x-request-id of a request in it, or the
    first characters of one (6 at least). Which calls are recorded: see `tulle up --trace-sampling`; a call that comes with
    the header traceparent is as its caller says.

    \b
    Examples:
      tulle trace ls --service checkout --min 300ms --errors
      tulle trace ls --since 10m -o json
      tulle trace show 4bf92f3577b3
    """
    if action == "show":
        if not id:
            raise Mistakes(["which trace? tulle trace show ID; `tulle trace ls` lists them"])
        return _show(ControlPlane(data).get(f"/v1/traces/{quote(id, safe='')}", TraceView), output)
    if id:
        raise Mistakes([f"tulle trace ls takes no ID: tulle trace show {id}"])
    query = [("limit", str(limit))]
    if service:
        query.append(("service", service_id(service, namespace)))
    if shortest:
        query.append(("min_ms", repr(1000 * _seconds("--min", shortest))))
    if errors:
        query.append(("errors", "true"))
    if since:
        query.append(("since", repr(time.time() - _seconds("--since", since))))
    control_plane = ControlPlane(data)
    found = control_plane.get("/v1/traces", TracesView, query)
    if service and not found.traces:
        check(control_plane, service_id(service, namespace))
    return _list(found, output)


def _list(view: TracesView, output: str) -> None:
    if output == "json":
        return print_json(view)
    print_table(["TRACE", "START", "DURATION", "SPANS", "ERRORS", "ROOT"], map(_line, view.traces))
    if not view.traces:
        click.echo(
            "no trace that is kept fits; of how many calls there is one says: tulle up --trace-sampling", err=True
        )
    if lost := view.lost.here + view.lost.by_agents:
        why = f": {view.lost.trouble}" if view.lost.trouble else ""
        click.echo(f"{lost} spans are lost since the control plane started{printable(why)}", err=True)
    if view.lost.traces and view.lost.share > _CROWDED:
        whose = view.lost.largest or "programs that are no sidecar's"
        text = f"{view.lost.share:.0%} of what is kept was told by {whose}: of these traces the oldest go first"
        click.echo(printable(text), err=True)
    return None


def _line(trace: TraceLine) -> list[str]:
    when = time.strftime("%H:%M:%S", time.localtime(trace.start))
    root = f"{trace.root.service} {trace.root.name}"
    return [trace.id[:_SHORT_ID], when, duration(trace.duration_ms), str(trace.spans), str(trace.errors or "-"), root]


def _show(view: TraceView, output: str) -> None:
    if output == "json":
        return print_json(view)
    begin = min(span.start for span in view.spans)
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(begin))
    click.echo(
        f"trace {click.style(view.id, bold=True)}   {when}   {len(view.spans)} span{'s' * (len(view.spans) != 1)}"
    )
    for row in rows(view.spans, shutil.get_terminal_size((100, 24)).columns):
        line = f"{row.label} |{row.bar}| {row.duration}  {row.result}".rstrip()
        click.echo(click.style(line, fg="red") if row.error else line)
    if is_one_hop(view.spans):
        click.echo(_ONE_HOP)
    return None


def _seconds(option: str, text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise Mistakes([f"{option}: {error}"]) from error
