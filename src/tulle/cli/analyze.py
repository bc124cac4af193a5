"""`tulle analyze`: what is valid and does nothing, in the mesh as it is or as documents would make it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from tulle.api.views import FindingView
from tulle.cli import options
from tulle.cli.client import ControlPlane
from tulle.cli.exits import FAILED, Mistakes
from tulle.cli.printing import print_json, printable
from tulle.cli.resources.files import read
from tulle.cli.resources.sending import analysed
from tulle.model.levels import Level
from tulle.model.names import DEFAULT_NAMESPACE

_COLOURS = {Level.ERROR: "red", Level.WARNING: "yellow", Level.INFO: "cyan"}
_WORST_FIRST = tuple(_COLOURS)


@click.command("analyze")
@options.files(required=False)
@options.in_namespace
@options.all_namespaces
@click.option(
    "--failure-threshold",
    type=click.Choice([level.value for level in _WORST_FIRST]),
    default=Level.WARNING.value,
    show_default=True,
    help="The exit code is 1 for a finding of this level or a worse one.",
)
@options.output
@options.data
def command(
    files: tuple[str, ...],
    namespace: str | None,
    all_namespaces: bool,
    failure_threshold: str,
    output: str,
    data: Path,
) -> None:
    """Find what is valid and does nothing.

    Hosts that no service has, rules that others shadow, and the like. Looks at what is applied and alive. With -f, at what
    these documents would make of it: told is what is found in them, and what they bring about in others. Nothing is
    changed. Each finding is told as FILE:LINE: LEVEL: FIELD: MESSAGE.

    \b
    Examples:
      tulle analyze
      tulle analyze -A -o json
      tulle analyze -f mesh/
    """
    if all_namespaces and (namespace or files):
        other = "--namespace" if namespace else "--filename, whose documents say their namespaces themselves,"
        raise Mistakes([f"--all-namespaces and {other} contradict each other"])
    documents = read(files) if files else []
    query = [("namespace", namespace or DEFAULT_NAMESPACE), *([("all", "1")] if all_namespaces else [])]
    found = analysed(ControlPlane(data), documents, query)
    if output == "json":
        print_json(found)
    else:
        _print(found, "" if files or all_namespaces else namespace or DEFAULT_NAMESPACE)
    failing = _WORST_FIRST[: _WORST_FIRST.index(Level(failure_threshold)) + 1]
    if any(one.level in failing for one in found):
        raise click.exceptions.Exit(FAILED)


def told(finding: FindingView) -> str:
    """`mesh.yaml:12: error: VirtualService default/reviews: spec.hosts[0]: no service has the host revews [IST0101]`."""
    place = f"{finding.file}:{finding.line}" if finding.line else finding.file
    name = f"{finding.kind} {finding.namespace}/{finding.name}" if finding.name else finding.kind
    level = click.style(finding.level.value, fg=_COLOURS[finding.level])
    parts = [printable(place), level, *map(printable, (name, finding.path, finding.message))]
    return ": ".join(filter(None, parts)) + (f" [{finding.code}]" if finding.code else "")


def _print(found: Sequence[FindingView], namespace: str) -> None:
    for one in found:
        click.echo(told(one))
    if not found:
        where = f" in the namespace {namespace}" if namespace else ""
        click.echo(f"nothing is found{where}", err=True)
