"""`tulle why ID`: what happened to a request, and what would happen to it now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
from msgspec import Struct

from tulle.api.call_views import CalledView, CallsView
from tulle.api.explained_views import ExplainedView, RequestView
from tulle.cli import calls, options
from tulle.cli.client import ControlPlane, Refused
from tulle.cli.exits import Mistakes
from tulle.cli.explain_request import lines
from tulle.cli.printing import print_json, printable
from tulle.model.response_flags import meaning

_WITHIN = 10.0
_DETAILS = {
    "via_upstream": "the program answered",
    "route_not_found": "no route of the sidecar fits it",
    "direct_response": "the sidecar's own configuration answers it",
    "cluster_not_found": "its route leads to something that does not exist",
    "no_healthy_upstream": "nobody who serves it was healthy",
    "upstream_response_timeout": "the answer did not come in time",
    "upstream_per_try_timeout": "no try was answered in time",
    "max_duration_timeout": "it took longer than a request may",
    "downstream_remote_disconnect": "the caller hung up before it was answered",
    "overflow": "it was over a limit",
}


class _Why(Struct, frozen=True):
    calls: list[CalledView]
    now: ExplainedView | None


@click.command("why")
@click.argument("id", metavar="REQUEST-ID|TRACE-ID")
@options.output
@options.data
def command(id: str, output: str, data: Path) -> None:
    """Say what happened to a request, and what would happen now.

    By its x-request-id or its trace id, or the beginning of one (6 characters at least); logs and `tulle tap`
    have them. Sidecars tell of requests that failed or took a second, and the last of them are kept.

    \b
    Examples:
      tulle why 1de90b25
      tulle why 7f3c0f6e-2b1d-9f0e-8b5a-0d2f6a1c9e77 -o json
    """
    control_plane = ControlPlane(data)
    try:
        found = control_plane.get(f"/v1/calls/{_path(id)}", CallsView).calls
    except Refused as error:
        if error.status == 404:
            raise Mistakes([printable(error.message)]) from error
        raise
    now = _now(control_plane, found)
    if output == "json":
        print_json(_Why(found, now[1] if now else None))
        return
    for call in found:
        for text in _happened(call):
            click.echo(text)
    if now:
        click.echo(click.style("\nthe same request now:", bold=True))
        for text in lines(*now):
            click.echo(text)


def _path(id: str) -> str:
    if not id.isascii() or not all(c.isalnum() or c in "-_" for c in id) or len(id) > 100:
        raise Mistakes([f"{printable(id)!r} is no id of a request or trace"])
    return id


def _now(control_plane: ControlPlane, found: list[CalledView]) -> tuple[RequestView, ExplainedView] | None:
    """None if its caller has no sidecar any more, or the request can't be made again."""
    first = next((call for call in found if call.side == "source"), found[0])
    namespace = first.source.rpartition("/")[0]
    if not namespace or not first.host:
        return None
    caller = first.proxy if first.side == "source" else first.source
    for who in dict.fromkeys((caller, first.source)):
        wanted = RequestView(who, f"http://{first.host}{first.path or '/'}", first.method or "GET", [], namespace)
        try:
            body = msgspec.json.encode(wanted)
            return wanted, control_plane.post("/v1/explain/request", ExplainedView, _WITHIN, body)
        except Refused as error:
            if error.status not in (400, 404):
                raise
    return None


def _happened(call: CalledView) -> Iterator[str]:
    yield calls.line(call)
    at = "the caller's sidecar" if call.side == "source" else "the server's sidecar"
    yield printable(f"  seen by   {at}, {call.proxy}; Host {call.host}, {call.protocol}")
    if call.route:
        yield printable(f"  route     {call.route}")
    if call.cluster:
        attempts = f", {call.attempts} tries" if call.attempts > 1 else ""
        yield printable(f"  cluster   {call.cluster}, at {call.upstream or 'nobody'}{attempts}")
    if call.identity:
        yield printable(f"  identity  of the other side: {call.identity}")
    for flag in filter(None, call.flags.split(",")):
        yield printable(f"  flag      {flag}: {meaning(flag)}")
    reason = call.details
    words = next((words for key, words in _DETAILS.items() if reason.startswith(key)), "")
    yield printable(f"  because   {words or reason}" + (f" ({reason})" if words else ""))
    if call.failure:
        yield printable(f"  TLS       {call.failure}")
