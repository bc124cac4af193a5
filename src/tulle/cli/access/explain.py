"""`tulle authz explain SERVICE`: the policies that are for a service, in the order in which they count."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from tulle.api.access_views import GuardsView, GuardView
from tulle.api.views import DecisionView
from tulle.cli import options
from tulle.cli.access.check import with_port
from tulle.cli.access.printing import decided, placed, policy_head, told
from tulle.cli.client import ControlPlane, Refused
from tulle.cli.exits import Mistakes
from tulle.cli.printing import print_json, printable
from tulle.model.names import DEFAULT_NAMESPACE


@click.command("explain")
@click.argument("service", metavar="SERVICE[:PORT]")
@options.in_namespace
@options.output
@options.data
def command(service: str, namespace: str | None, output: str, data: Path) -> None:
    """Show the policies for a service, in their order.

    Rules are told in words, with the documents and lines where they were written. CUSTOM policies count first, then DENY,
    then ALLOW; AUDIT only notes. Instances for which different policies hold are shown apart. Below each rule: how often it has
    decided against a call, whose calls most often.

    \b
    Examples:
      tulle authz explain reviews
      tulle authz explain shop/reviews:9080 -o json
    """
    name, port = with_port(service, None)
    query = [("service", name), ("namespace", namespace or DEFAULT_NAMESPACE), *([("port", str(port))] if port else [])]
    try:
        guards = ControlPlane(data).get("/v1/authz/guards", GuardsView, query)
    except Refused as error:
        if error.status in (400, 404):
            raise Mistakes([error.message]) from error
        raise
    if output == "json":
        print_json(guards)
        return
    for number, guard in enumerate(guards.guards):
        if number:
            click.echo()
        _print(guards.service, guard)


def _print(service: str, guard: GuardView) -> None:
    head = f"{service}:{guard.port} ({guard.protocol}) at {', '.join(guard.proxies)}"
    click.echo(click.style(printable(head), bold=True))
    by = ", ".join(map(placed, guard.peer_authentications)) or "no PeerAuthentication says otherwise"
    click.echo(f"mutual TLS: {guard.mutual_tls}, {by}")
    for issuer in guard.issuers:
        click.echo(printable(f"tokens of: {issuer}"))
    decisions = guard.decisions
    for policy in guard.policies:
        click.echo(policy_head(policy))
        for rule in policy.rules:
            click.echo(told(rule))
            _print_decided("    ", (one for one in decisions if _rule(one) == (rule.place.source, rule.place.path)))
        if not policy.rules:
            click.echo("  it has no rules, so that it fits nothing")
    click.echo(f"any other call: {guard.otherwise}")
    _print_decided("  ", (one for one in decisions if not one.source))
    _print_by_others(guard)
    click.echo("the log of each instance (tulle run) names what was denied, to whom and by which rule")
    if guard.others or guard.lost:
        click.echo(f"decisions that are not told apart: {guard.others}; that could not be read: {guard.lost}")
    if guard.pending:
        warning = printable(f"not in force yet on {', '.join(guard.pending)}")
        click.echo(click.style(warning, fg="yellow"))


def _print_by_others(guard: GuardView) -> None:
    """Decided by what is no rule, or not one any more."""
    there = {(rule.place.source, rule.place.path) for policy in guard.policies for rule in policy.rules}
    for source, path in sorted({_rule(one) for one in guard.decisions if one.source} - there):
        click.echo(printable(f"by {source} {path}".rstrip()))
        _print_decided("  ", (one for one in guard.decisions if _rule(one) == (source, path)))


def _print_decided(indent: str, decisions: Iterable[DecisionView]) -> None:
    for line in decided(decisions):
        click.echo(f"{indent}{line}")


def _rule(decision: DecisionView) -> tuple[str, str]:
    return decision.source, decision.place
