"""`tulle explain request FROM METHOD URL`: what would happen to a request, step by step, and what to change."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from tulle.api.access_views import AnswerView
from tulle.api.explained_views import ExplainedView, NameView, RequestView, RouteView, ShareView
from tulle.cli import options
from tulle.cli.access.check import header
from tulle.cli.access.printing import placed, verdict_word
from tulle.cli.client import ControlPlane, Refused
from tulle.cli.exits import FAILED, Mistakes
from tulle.cli.printing import print_json, printable
from tulle.model.names import DEFAULT_NAMESPACE

_WITHIN = 10.0
_MOST_MISSED = 10


@click.command("explain request")
@click.argument("caller", metavar="FROM")
@click.argument("method")
@click.argument("url")
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME:VALUE", help="A header; may be repeated.")
@options.in_namespace
@options.output
@options.data
def command(
    caller: str, method: str, url: str, headers: tuple[str, ...], namespace: str | None, output: str, data: Path
) -> None:
    """Say what would happen to a request, step by step.

    It is not sent.

    FROM is a service with an instance that runs, or the id of a proxy. The answer comes from what sidecars are configured by:
    whom the name means, which route fits and which document made it, where it leads, who serves there and why others do not, what
    access policies say, and what to change. Whom the caller's sidecar leaves out for errors it is asked itself; what is
    under way is not in it. The exit code is 0 if the request gets to a program or is answered as a route says, else 1.

    \b
    Examples:
      tulle explain request web GET http://reviews/
      tulle explain request shop/web POST http://reviews:9080/orders -H 'x-role: admin'
      tulle explain request web GET http://reviews/ -o json
    """
    wanted = RequestView(caller, url, method, [header(text) for text in headers], namespace or DEFAULT_NAMESPACE)
    try:
        found = ControlPlane(data).post("/v1/explain/request", ExplainedView, _WITHIN, msgspec.json.encode(wanted))
    except Refused as error:
        if error.status in (400, 404):
            raise Mistakes([error.message]) from error
        raise
    if output == "json":
        print_json(found)
    else:
        for line in lines(wanted, found):
            click.echo(line)
    if found.status >= 400 and not _is_wanted(found):
        sys.exit(FAILED)


def _is_wanted(found: ExplainedView) -> bool:
    """Whether a route says so itself."""
    return found.found and not found.shares


def lines(wanted: RequestView, found: ExplainedView) -> Iterator[str]:
    colour = "green" if found.status < 400 else "red"
    status = f" ({found.status})" if found.status and str(found.status) not in found.outcome else ""
    asked = printable(f"{found.method} {wanted.url} from {found.caller}")
    yield f"{asked}: {click.style(printable(found.outcome), fg=colour, bold=True)}{status}"
    yield f"  from     instance {printable(found.proxy)}, {printable(found.identity)}"
    if found.name:
        yield from _name(found.name)
    yield from _routes(found.routes, found=found.found)
    for share in found.shares:
        yield from _share(share)
    if found.unasked:
        yield printable(f"  not told  whom its sidecar leaves out for errors: {found.unasked}")
    for proxy in found.pending:
        yield click.style(f"  not in force yet on {printable(proxy)}", fg="yellow")
    for fix in found.fixes:
        yield f"  {click.style('to change', bold=True)}: {printable(fix)}"


def _name(name: NameView) -> Iterator[str]:
    means = {
        "route": f"means the service {name.service}, port {name.port}",
        "passthrough": "is no service of the mesh, and goes where DNS says",
    }
    said = means.get(name.means, name.problem or name.means)
    yield printable(f"  name     {name.authority} {said}")
    if name.means == "passthrough" and name.problem:
        yield printable(f"           {name.problem}")
    for place in name.made_by:
        yield f"           by {placed(place)}"


def _routes(routes: list[RouteView], *, found: bool) -> Iterator[str]:
    missed = routes[:-1] if found else routes
    for route in missed[:_MOST_MISSED]:
        yield f"  route    {_called(route)} does not fit: {printable('; '.join(route.why_not))}"
    if len(missed) > _MOST_MISSED:
        yield f"  route    {len(missed) - _MOST_MISSED} more do not fit either"
    if found:
        yield f"  route    {_called(routes[-1])} {click.style('fits', fg='green')}: {printable(routes[-1].does)}"
        for line in routes[-1].further:
            yield printable(f"           {line}")


def _called(route: RouteView) -> str:
    if route.place is None:
        return "the service's own"
    return printable(f"{route.name} of ") + placed(route.place) if route.name else placed(route.place)


def _share(share: ShareView) -> Iterator[str]:
    subset = f" subset {share.subset}" if share.subset else ""
    yield printable(
        f"  to       {share.percent:g} % to {share.destination}{subset} as {share.path}  [{share.cluster or 'no cluster'}]"
    )
    for place in share.made_by:
        yield f"           by {placed(place)}"
    for limit in share.limits:
        yield printable(f"           {limit}")
    if not share.told:
        yield "           its instances are found by DNS"
    for one in share.candidates:
        what = click.style(f"out: {printable(one.out)}", fg="yellow") if one.out else click.style("serves", fg="green")
        yield f"           {printable(f'{one.name} at {one.address}')}  {what}"
    if share.told and not share.candidates and share.cluster:
        yield click.style("           it has no instance", fg="yellow")
    for answer in share.access:
        yield from _access(answer)
    if share.unjudged:
        yield printable(f"  access   {share.unjudged}")


def _access(answer: AnswerView) -> Iterator[str]:
    by = placed(answer.by) if answer.by else printable(answer.reason)
    at = printable(", ".join(answer.proxies))
    yield f"  access   {verdict_word(answer.allowed)} at {at}, mutual TLS {answer.mutual_tls}: {by}"
    for provider in answer.asks:
        yield printable(f"           also asks {provider}, which may refuse it")
    for note in answer.notes:
        yield printable(f"           {note}")
    if answer.pending:
        yield click.style(printable(f"           not in force yet on {', '.join(answer.pending)}"), fg="yellow")
