"""`tulle explain KIND[.FIELD...]`: what can be written in a document, and what it means."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import click
from msgspec import Struct

from tulle.cli import options
from tulle.cli.exits import Mistakes
from tulle.cli.printing import print_json
from tulle.cli.resources.kinds import kind_of
from tulle.model.resources.resource import APIS, SPECS
from tulle.sources.descriptions.fields import ABOUT, Field, Message, fields
from tulle.sources.schema import field_name
from tulle.sources.yaml_text import nearest

_WIDTH = 100


class _Place(Struct, frozen=True):
    """path: of the field, `spec.http`; empty for the kind."""

    kind: str
    path: str
    type: str
    description: str
    message: Message | None
    values: tuple[str, ...] = ()
    unsupported: str = ""


class _View(Struct, omit_defaults=True):
    name: str
    type: str
    description: str
    values: tuple[str, ...] = ()
    unsupported: str = ""
    fields: list[_View] | None = None


@click.command("explain")
@click.argument("what", metavar="KIND[.FIELD...]")
@click.option("--recursive", is_flag=True, help="Also the fields of its fields, by name and type.")
@options.output
def command(what: str, recursive: bool, output: str) -> None:
    """Show what fields a kind of resource has, and their meaning.

    \b
    Examples:
      tulle explain virtualservice
      tulle explain vs.spec.http.retries
      tulle explain dr.trafficPolicy --recursive
    """
    place = _place(what)
    if output == "json":
        described = _View(place.path or place.kind, place.type, place.description, place.values, place.unsupported)
        described.fields = _views(place.message, recursive=recursive) if place.message else None
        print_json({"kind": place.kind, **_plain(described)})
        return
    for line in _lines(place, recursive=recursive):
        click.echo(line)


def _plain(view: _View) -> dict[str, Any]:
    return {name: value for name in view.__struct_fields__ if (value := getattr(view, name)) not in (None, "", ())}


def _place(what: str) -> _Place:
    """Raises Mistakes if there is no such kind or field. `spec` may be left out, and indexes may be written."""
    name, *steps = what.replace("[]", "").split(".")
    kind = kind_of(name)
    if steps[:1] == ["spec"]:
        steps = steps[1:]
    place = _Place(kind, "", kind, ABOUT[kind], SPECS[kind])
    for written in steps:
        step = field_name(written, place.message) if place.message else written
        known: Mapping[str, Field] = fields(place.message) if place.message else {}
        if step not in known:
            where = f"{kind}{f'.{place.path}' if place.path else ''}"
            hint = nearest(step, known) if known else "it has none"
            raise Mistakes([f"there is no field {step!r} in {where}; {hint}"])
        field = known[step]
        path = f"{place.path}.{step}" if place.path else f"spec.{step}"
        reason = place.unsupported or field.unsupported
        place = _Place(kind, path, field.type, field.description, field.message, field.values, reason)
    return place


def _views(message: Any, *, recursive: bool, unsupported: str = "") -> list[_View]:
    found = []
    for field in fields(message).values():
        reason = unsupported or field.unsupported
        view = _View(field.name, field.type, field.description, field.values, reason)
        if recursive and field.message:
            view.fields = _views(field.message, recursive=True, unsupported=reason)
        found.append(view)
    return found


def _lines(place: _Place, *, recursive: bool) -> Iterator[str]:
    yield f"{_head('KIND:')}     {place.kind}"
    yield f"{_head('VERSION:')}  {APIS[place.kind]}"
    if place.path:
        yield f"{_head('FIELD:')}    {place.path} <{place.type}>"
    yield ""
    yield _head("DESCRIPTION:")
    yield from _indented(place.description, 4)
    yield from _more(place.values, place.unsupported, 4)
    if place.message is None:
        return
    yield ""
    yield _head("FIELDS:")
    for field in fields(place.message).values():
        if recursive:
            yield from _tree(field, 2)
            continue
        yield f"  {click.style(field.name, bold=True)} <{field.type}>"
        yield from _indented(field.description, 4)
        yield from _more(field.values, place.unsupported or field.unsupported, 4)
        yield ""


def _tree(field: Field, depth: int) -> Iterator[str]:
    word = "  (not supported)" if field.unsupported else ""
    yield f"{' ' * depth}{field.name} <{field.type}>{word}"
    if field.message and not field.unsupported:
        for each in fields(field.message).values():
            yield from _tree(each, depth + 2)


def _more(values: tuple[str, ...], unsupported: str, depth: int) -> Iterator[str]:
    if values:
        yield from _indented(f"One of: {', '.join(values)}.", depth)
    if unsupported:
        yield from _indented(f"Not supported: {unsupported}.", depth)


def _indented(text: str, depth: int) -> list[str]:
    blanks = " " * depth
    return textwrap.wrap(text, _WIDTH, initial_indent=blanks, subsequent_indent=blanks, break_long_words=False)


def _head(text: str) -> str:
    return click.style(text, bold=True)
