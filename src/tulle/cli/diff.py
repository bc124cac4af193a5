"""`tulle diff -f`: what `tulle apply` would change, as a unified diff of documents."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from tulle.api.views import DeclaredView
from tulle.cli import options
from tulle.cli.client import ControlPlane
from tulle.cli.exits import FAILED, USAGE, Failed
from tulle.cli.printing import printable
from tulle.cli.resources.files import accepted, read
from tulle.cli.resources.reading import found, selected
from tulle.cli.resources.yaml_text import document_of, to_yaml
from tulle.model.resources.resource import SPECS, Ref, Resource

_FEW = 20  # as many are asked for one by one


class _Trouble(Failed):
    """As with diff(1) and kubectl, 1 says that there are differences."""

    exit_code = USAGE


@click.command("diff")
@options.files()
@options.in_namespace
@options.data
def command(files: tuple[str, ...], namespace: str | None, data: Path) -> None:
    """Show what applying documents would change.

    The exit code is 0 if nothing, 1 if something, and more if that can't be said.

    \b
    Examples:
      tulle diff -f reviews.yaml
      tulle diff -f mesh/
    """
    try:
        documents = read(files)
        given = [resource for _, resource in accepted(documents, namespace)]
        differences = list(_differences(ControlPlane(data), given))
    except Failed as error:
        raise _Trouble(error.message) from error
    for line in differences:
        click.echo(_coloured(line))
    if differences:
        raise click.exceptions.Exit(FAILED)


def _differences(control_plane: ControlPlane, given: list[Resource]) -> Iterator[str]:
    if len(given) > _FEW:
        every = selected(control_plane, list(SPECS), None)
        stored = {Ref(one.kind, one.namespace, one.name): one for one in every}
    else:
        stored = {one.ref: there for one in given if (there := found(control_plane, one.ref))}
    for resource in given:
        name = f"{resource.ref.kind.lower()}/{resource.ref.namespace}/{resource.ref.name}"
        old, new = _text(stored.get(resource.ref)), _text(view_of(resource))
        yield from difflib.unified_diff(old, new, f"stored/{name}", f"{resource.origin.file}/{name}", lineterm="")


def view_of(resource: Resource) -> DeclaredView:
    """A resource that was read here, as the control plane would show it."""
    ref, origin = resource.ref, resource.origin
    spec = msgspec.json.decode(msgspec.json.encode(resource.spec))
    labels, annotations = dict(resource.labels), dict(resource.annotations)
    return DeclaredView(
        ref.kind, ref.namespace, ref.name, 0, 0, 0.0, labels, annotations, origin.file, origin.line, spec
    )


def _text(resource: DeclaredView | None) -> list[str]:
    return to_yaml(document_of(resource, is_plain=True)).splitlines() if resource else []


def _coloured(line: str) -> str:
    colours = {"+": "green", "-": "red", "@": "cyan"}
    is_head = line.startswith(("+++", "---"))
    return click.style(printable(line), fg=None if is_head else colours.get(line[:1]), bold=is_head)
