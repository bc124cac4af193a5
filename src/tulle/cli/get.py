"""`tulle get KIND [NAME]`: what is declared, as tables, or as documents that can be applied again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from tulle.api.views import ChangeView, DeclaredView
from tulle.cli import options
from tulle.cli.client import ControlPlane
from tulle.cli.exits import FAILED, Mistakes
from tulle.cli.printing import print_json
from tulle.cli.resources.kinds import named
from tulle.cli.resources.reading import found, in_order, query_of, ref_of, selected
from tulle.cli.resources.table import print_resources
from tulle.cli.resources.yaml_text import document_of, list_of, to_yaml
from tulle.model.names import DEFAULT_NAMESPACE
from tulle.sources.selector import selector


@click.command("get")
@click.argument("what", nargs=-1, required=True, metavar="KIND[/NAME] [NAME]...")
@options.in_namespace
@options.all_namespaces
@options.labels
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "wide", "yaml", "json", "name"]),
    default="table",
    show_default=True,
    help="What to print.",
)
@click.option("-w", "--watch", is_flag=True, help="Go on, and print what is written or deleted.")
@options.data
def command(
    what: tuple[str, ...],
    namespace: str | None,
    all_namespaces: bool,
    labels: str,
    output: str,
    watch: bool,
    data: Path,
) -> None:
    """List resources, or print some of them.

    KIND is virtualservice (vs), destinationrule (dr), serviceentry (se), workloadentry (we), workloadgroup (wg), sidecar or
    meshconfig, several with commas between them, or all. What -o yaml and -o json print can be applied again.

    \b
    Examples:
      tulle get vs
      tulle get vs,dr -A -o wide
      tulle get virtualservice reviews -o yaml
      tulle get all -n shop -l team=books --watch
    """
    kinds, pairs = named(what)
    _check(pairs, all_namespaces, namespace, labels, watch)
    control_plane = ControlPlane(data)
    space = None if all_namespaces else namespace or DEFAULT_NAMESPACE
    if pairs:
        _print_named(control_plane, pairs, namespace, output)
    elif watch:
        _follow(control_plane, kinds, space, labels, output)
    else:
        resources = selected(control_plane, kinds, space, labels)
        if not resources and output in ("table", "wide", "name"):
            click.echo("there are none" if space is None else f"there are none in the namespace {space}", err=True)
        else:
            _print(resources, output, with_namespace=all_namespaces)


def _check(pairs: Sequence[object], all_namespaces: bool, namespace: str | None, labels: str, watch: bool) -> None:
    """Raises Mistakes."""
    mistakes = []
    if all_namespaces and namespace:
        mistakes.append("--all-namespaces and --namespace contradict each other")
    if pairs and all_namespaces:
        mistakes.append("a resource is of one namespace: leave --all-namespaces out, or the name")
    if pairs and labels:
        mistakes.append("a name and --selector contradict each other")
    if pairs and watch:
        mistakes.append("--watch is for kinds: leave the name out")
    try:
        selector(labels)
    except ValueError as error:
        mistakes.append(f"--selector: {error}")
    if mistakes:
        raise Mistakes(mistakes)


def _print_named(
    control_plane: ControlPlane, pairs: Sequence[tuple[str, str]], namespace: str | None, output: str
) -> None:
    refs = [ref_of(kind, name, namespace) for kind, name in pairs]
    looked_up = [(ref, found(control_plane, ref)) for ref in refs]
    there = [resource for _, resource in looked_up if resource]
    if there:
        _print(there, output, with_namespace=False, is_one=len(refs) == 1)
    for ref, resource in looked_up:
        if resource is None:
            click.echo(f"Error: there is no {ref}; `tulle get {ref.kind.lower()} -A` lists them", err=True)
    if len(there) < len(refs):
        raise click.exceptions.Exit(FAILED)


def _print(resources: Sequence[DeclaredView], output: str, *, with_namespace: bool, is_one: bool = False) -> None:
    if output in ("yaml", "json"):
        documents = [document_of(one) for one in resources]
        whole = documents[0] if is_one else list_of(documents)
        if output == "json":
            print_json(whole)
        else:
            click.echo(to_yaml(whole), nl=False)
    elif output == "name":
        for one in resources:
            click.echo(f"{one.kind.lower()}/{one.name}")
    else:
        print_resources(resources, with_namespace=with_namespace, is_wide=output == "wide")


def _follow(control_plane: ControlPlane, kinds: Sequence[str], namespace: str | None, labels: str, output: str) -> None:
    query = [*query_of(kinds, namespace, labels), ("watch", "1")]
    while True:  # the control plane ends it for a reader that was too slow, and then all is listed again
        for change in control_plane.follow("/v1/resources", ChangeView, query):
            resources = in_order(change.resources, kinds)
            if output in ("yaml", "json"):
                for one in resources:
                    document = document_of(one)
                    click.echo(f"---\n{to_yaml(document)}" if output == "yaml" else "", nl=False)
                    if output == "json":
                        print_json(document)
            elif resources:
                _print(resources, output, with_namespace=namespace is None)
            for gone in change.gone:
                click.echo(f"{gone.kind.lower()}/{gone.name} deleted", err=output in ("yaml", "json"))
