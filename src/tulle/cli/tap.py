"""`tulle tap [SERVICE]`: requests as they end."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from tulle.api.call_views import CalledView
from tulle.api.views import ProxyView, ServiceView
from tulle.cli import options
from tulle.cli.calls import each_once, header_lines, line
from tulle.cli.client import ControlPlane, Refused
from tulle.cli.durations import seconds
from tulle.cli.exits import Mistakes, Unreachable
from tulle.cli.named import missing, service_id
from tulle.cli.printing import printable
from tulle.model.calls import MOST_A_SECOND


@click.command("tap")
@click.argument("service", metavar="[SERVICE]", default="")
@options.namespace
@click.option("--proxy", metavar="ID", default="", help="Only what this sidecar sees.")
@click.option("--peer", metavar="SERVICE", default="", help="Only requests to or from this one.")
@click.option("--side", type=click.Choice(["source", "destination"]), help="Only at callers, or at servers.")
@click.option("--method", metavar="METHOD", default="", help="Only such, as GET.")
@click.option("--path", metavar="PREFIX", default="", help="Only paths that begin so.")
@click.option(
    "--status",
    metavar="STATUS",
    default="",
    help="Only such: 503, 5xx, or error for 5xx, no answer and failures of gRPC.",
)
@click.option("--min", "slow", metavar="DURATION", help="Only those that took at least so long, as 200ms.")
@click.option(
    "--max-rps",
    type=click.IntRange(1, MOST_A_SECOND * 10),
    default=MOST_A_SECOND,
    show_default=True,
    help="How many a second of one sidecar; others are counted.",
)
@click.option("--headers", is_flag=True, help="Headers too, with what is secret left out. For admins.")
@click.option("--count", type=click.IntRange(1), help="End after so many.")
@options.output
@options.data
def command(
    service: str,
    namespace: str | None,
    side: str | None,
    slow: str | None,
    max_rps: int,
    headers: bool,
    count: int | None,
    output: str,
    data: Path,
    **filters: str,
) -> None:
    """Watch requests as they end.

    Until Ctrl-C. Of all sidecars, or those of SERVICE (NAME or NAMESPACE/NAME): what they take in and what they send
    out, and calls to it that failed before they reached it. Without a service
    each request is shown as its server saw it, and as its caller did where it never got there. Sidecars tell of requests
    only while somebody looks; bodies and queries are never told.

    With --headers, a line for each: > of the request, < of the answer. Of what is or may be a secret the length alone is
    told. It takes an admin, and goes to the audit log.

    \b
    Examples:
      tulle tap
      tulle tap checkout --status 5xx
      tulle tap shop/checkout --peer payments --min 200ms
      tulle tap --path /api --count 10 -o json
      tulle tap checkout --headers --count 1
    """
    query = [(name, value) for name, value in filters.items() if value]
    query += [("service", service)] if service else []
    query += [("namespace", namespace)] if namespace else []
    query += [("side", side)] if side else []
    query += [("min_ms", repr(1000 * _seconds(slow)))] if slow else []
    query.append(("max_rps", str(max_rps)))
    once = not service and not side and not filters["proxy"]
    path = "/v1/tap/headers" if headers else "/v1/tap"
    control_plane = ControlPlane(data)
    _note(control_plane, service, namespace, filters["proxy"])
    try:
        calls = control_plane.follow(path, CalledView, query)
        for number, call in enumerate(each_once(calls) if once else calls, 1):
            if output == "json":
                click.echo(msgspec.json.encode(call).decode())
            else:
                if call.lost:
                    click.echo(click.style(f"({call.lost} more were not told: too many, see --max-rps)", dim=True))
                click.echo(line(call))
                for told in header_lines(call):
                    click.echo(told)
            if number == count:
                return
        raise Unreachable("the control plane has ended; nothing more is told")
    except KeyboardInterrupt:
        return
    except Refused as error:
        if error.status == 400:
            raise Mistakes([printable(error.message)]) from error
        raise


def _note(control_plane: ControlPlane, service: str, namespace: str | None, proxy: str) -> None:
    """What is not there may still come."""
    problem = ""
    space, _, name = service.rpartition("/")
    if service:
        services = control_plane.get("/v1/services", list[ServiceView])
        is_there = any(one.name == name and (space or namespace) in (None, "", one.namespace) for one in services)
        problem = "" if is_there else missing(services, service_id(service, namespace))
    elif proxy and all(one.id != proxy for one in control_plane.get("/v1/proxies", list[ProxyView])):
        problem = f"there is no proxy {proxy}; `tulle proxies` lists them"
    if problem:
        click.echo(printable(f"{problem} (its requests are shown if it comes)"), err=True)


def _seconds(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise Mistakes([f"--min: {error}"]) from error
