"""`tulle why ID`: what happened to a request, and what would happen to it now."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import click
import msgspec
from msgspec import Struct

from tulle.api.call_views import CalledView, CallsView
from tulle.api.explained_views import ExplainedView, RequestView
from tulle.api.trace_views import TraceView
from tulle.cli import options
from tulle.cli.client import ControlPlane, Refused
from tulle.cli.exits import Failed, Mistakes
from tulle.cli.explain_request import lines
from tulle.cli.happened import happened
from tulle.cli.printing import print_json, printable
from tulle.cli.steps import Step, StepView, cause, shown, steps

_WITHIN = 10.0
_SHORTEST = 6
_NOTHING = (
    "nothing is known of {id}: no trace of it is kept, and no sidecar has told of it, as they do of requests that fail or "
    "take a second. Watch requests as they happen with: tulle tap. Have more traces kept with: tulle up --trace-sampling "
    "PERCENT"
)

T = TypeVar("T")


class _Why(Struct, frozen=True):
    """trace: its id, "" if none is kept. steps: of it. now: null if the request can't be made again."""

    calls: list[CalledView]
    trace: str
    steps: list[StepView]
    now: ExplainedView | None


class _Again(Struct, frozen=True):
    """A request to be explained. callers: by any of which it is made, in order of preference."""

    callers: list[str]
    method: str
    url: str
    namespace: str


@click.command("why")
@click.argument("id", metavar="REQUEST-ID|TRACE-ID")
@options.output
@options.data
def command(id: str, output: str, data: Path) -> None:
    """Say what happened to a request, and what would happen now.

    By its x-request-id or its trace id, or the beginning of one (6 characters at least); logs and `tulle tap`
    have them. Sidecars tell of requests that failed or took a second, and the last of them are kept; others are known if
    their trace is kept (tulle up --trace-sampling). A request's headers are not: what would happen now is said of one
    without.

    \b
    Examples:
      tulle why 1de90b25
      tulle why 7f3c0f6e-2b1d-9f0e-8b5a-0d2f6a1c9e77 -o json
    """
    control_plane = ControlPlane(data)
    calls, trace = _found(control_plane, _path(id))
    spans = trace.spans if trace else []
    taken = steps(spans)
    first = cause(taken, spans) or next((step for step in taken if step.out), None)
    now = _now(control_plane, _again(calls, first))
    if output == "json":
        print_json(_Why(calls, trace.id if trace else "", list(map(shown, taken)), now[1] if now else None))
        return
    for text in happened(calls, trace):
        click.echo(text)
    if now:
        click.echo(click.style("\nthe same request now:", bold=True))
        for text in lines(*now):
            click.echo(text)


def _path(id: str) -> str:
    if not id.isascii() or not all(c.isalnum() or c in "-_" for c in id) or len(id) > 100:
        raise Mistakes([f"{printable(id)!r} is no id of a request or trace"])
    if len(id) < _SHORTEST:
        raise Mistakes([f"{id!r} is too short: {_SHORTEST} characters of the id at least"])
    return id


def _found(control_plane: ControlPlane, id: str) -> tuple[list[CalledView], TraceView | None]:
    """What sidecars told of the request, or of all of the trace if that is meant; and the trace. Raises Failed."""
    calls = _asked(control_plane, f"/v1/calls/{id}", CallsView)
    told = calls.calls if calls else []
    try:
        trace = _asked(control_plane, f"/v1/traces/{id}", TraceView)
        if trace is None and (of := next((call.trace for call in told if call.trace), "")):
            trace = _asked(control_plane, f"/v1/traces/{of}", TraceView)
    except Refused:  # several are meant, or the file can't be read
        if not told:
            raise
        trace = None
    if trace and not told:
        others = _asked(control_plane, f"/v1/calls/{trace.id}", CallsView)
        told = others.calls if others else []
    if not told and not trace:
        raise Failed(_NOTHING.format(id=id))
    return told, trace


def _asked(control_plane: ControlPlane, path: str, view: type[T]) -> T | None:
    """None if there is nothing."""
    try:
        return control_plane.get(path, view)
    except Refused as error:
        if error.status == 404:
            return None
        raise


def _again(calls: list[CalledView], step: Step | None) -> _Again | None:
    """None if whoever made it is not known, or nobody in the mesh."""
    first = next((call for call in calls if call.side == "source"), calls[0] if calls else None)
    if step is not None and step.out is not None and (step.has_failed or first is None):
        of = shown(step)
        callers, method, url = [step.out.instance, of.source], of.method, of.url
        namespace = of.source.rpartition("/")[0]
    elif first is not None and first.host:
        callers = [first.proxy if first.side == "source" else first.source, first.source]
        method, url = first.method or "GET", f"http://{first.host}{first.path or '/'}"
        namespace = first.source.rpartition("/")[0]
    else:
        return None
    return _Again(list(dict.fromkeys(filter(None, callers))), method, url, namespace) if namespace else None


def _now(control_plane: ControlPlane, again: _Again | None) -> tuple[RequestView, ExplainedView] | None:
    """None if its caller has no sidecar any more, or the request can't be made again."""
    if again is None:
        return None
    for caller in again.callers:
        wanted = RequestView(caller, again.url, again.method, [], again.namespace)
        try:
            body = msgspec.json.encode(wanted)
            return wanted, control_plane.post("/v1/explain/request", ExplainedView, _WITHIN, body)
        except Refused as error:
            if error.status not in (400, 404):
                raise
    return None
