"""`tulle describe KIND NAME`: all that is known of a resource, for people."""

from __future__ import annotations

from pathlib import Path

import click

from tulle.api.views import DeclaredView
from tulle.cli import options
from tulle.cli.access.printing import decided
from tulle.cli.analyze import told
from tulle.cli.client import ControlPlane
from tulle.cli.exits import Failed
from tulle.cli.printing import ago, print_facts, printable, reason_in
from tulle.cli.resources.kinds import named
from tulle.cli.resources.reading import existing, ref_of, selected
from tulle.cli.resources.table import labels_of, place_of
from tulle.cli.resources.yaml_text import to_yaml
from tulle.model.names import DEFAULT_NAMESPACE


@click.command("describe")
@click.argument("what", nargs=-1, required=True, metavar="KIND[/NAME] [NAME]...")
@options.in_namespace
@options.labels
@options.data
def command(what: tuple[str, ...], namespace: str | None, labels: str, data: Path) -> None:
    """Show all that is known of resources.

    \b
    Examples:
      tulle describe vs reviews
      tulle describe dr -n shop
    """
    kinds, pairs = named(what)
    control_plane = ControlPlane(data)
    if pairs:
        resources = [existing(control_plane, ref_of(kind, name, namespace)) for kind, name in pairs]
    else:
        resources = selected(control_plane, kinds, namespace or DEFAULT_NAMESPACE, labels)
        if not resources:
            raise Failed(f"there are none in the namespace {namespace or DEFAULT_NAMESPACE}")
    for index, resource in enumerate(resources):
        if index:
            click.echo()
        _describe(resource)


def _describe(resource: DeclaredView) -> None:
    facts = [("name", resource.name), ("namespace", resource.namespace), ("kind", resource.kind)]
    facts += [("labels", labels_of(resource))]
    facts += [("annotations", f"{key}: {value}") for key, value in sorted(resource.annotations.items())]
    facts += [
        ("age", ago(resource.created)),
        ("generation", str(resource.generation)),
        ("written in", place_of(resource)),
        ("status", resource.status),
        ("in force", f"{resource.in_force.acknowledged} of {resource.in_force.needed} proxies that need it"),
    ]
    facts += [(f"rejected by {one.proxy}", reason_in(one.reason)) for one in resource.in_force.rejected]
    facts += [("decisions", line) for line in decided(resource.decisions)]
    print_facts(facts)
    if resource.findings:
        click.echo(click.style("findings", bold=True))
        for finding in resource.findings:
            click.echo(f"  {told(finding)}")
    for one in resource.in_force.rejected:
        if details := one.reason.partition("\n")[2]:
            click.echo(click.style(f"what {one.proxy} says", bold=True))
            for line in details.splitlines():
                click.echo(f"  {printable(line)}")
    click.echo(click.style("spec", bold=True))
    for line in to_yaml(resource.spec).splitlines():
        click.echo(f"  {printable(line)}")
