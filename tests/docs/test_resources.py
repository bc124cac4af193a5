"""docs/reference/resources.md is what `tulle explain` says, field by field; --update-resources-table writes it anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import ValidationError, convert, structs

from tulle.model.resources.resource import SPECS
from tulle.sources.at import At, Report
from tulle.sources.descriptions.fields import ABOUT, DESCRIPTIONS, Field, Message, fields
from tulle.sources.problems import Severity
from tulle.sources.unsupported import UNSUPPORTED, messages, note_unsupported

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "resources.md"
BEGIN = "<!-- from here on written by scripts/test tests/docs --update-resources-table -->\n"


def test_every_field_has_its_row_in_the_reference(request: pytest.FixtureRequest) -> None:
    said, mark, _ = PAGE.read_text().partition(BEGIN)
    assert mark, "the mark is missing below which the tables stand"
    written = said + BEGIN + "".join(tables())
    if request.config.getoption("--update-resources-table"):
        PAGE.write_text(written)
    assert PAGE.read_text() == written, "run: scripts/test tests/docs --update-resources-table"


def test_every_field_is_described_in_the_order_of_the_message() -> None:
    needed = {message for kind in SPECS.values() for message in messages(kind)}
    assert set(DESCRIPTIONS) == needed
    for message, described in DESCRIPTIONS.items():
        assert list(described) == [field.encode_name for field in structs.fields(message)], message
        for text in described.values():
            assert text[0].isupper() or not text[0].isalpha() or text.startswith(("http ", "exportTo", "REG"))
            assert text.endswith((".", "…")) and "\n" not in text and "|" not in text and len(text) <= 120


def test_what_is_of_any_type_is_not_supported_and_says_what_to_do() -> None:
    for message in DESCRIPTIONS:
        for field in fields(message).values():
            assert field.type != "any" or field.unsupported, f"{message.__name__}.{field.name}"


@pytest.mark.parametrize(
    ("message", "name"), [(message, name) for message, reasons in UNSUPPORTED.items() for name in reasons]
)
def test_what_is_told_as_not_supported_is_refused(message: Message, name: str) -> None:
    [field] = [each for each in structs.fields(message) if each.encode_name == name]
    samples: tuple[Any, ...] = (False, [{}], [""], {}, {"a": "b"}, "", "a", "NONE")
    for value in samples:
        report = Report()
        try:
            note_unsupported(convert({name: value}, message), At(report))
        except ValidationError:
            continue
        if getattr(convert({name: value}, message), field.name) != field.default:
            [problem] = report.problems
            assert (problem.path, problem.severity) == (f"spec.{name}", Severity.UNSUPPORTED)
            assert problem.message == UNSUPPORTED[message][name]
            return
    raise AssertionError("no value was found to try it with")


def tables() -> Iterator[str]:
    told: set[Message] = set()
    lived = {message for spec in SPECS.values() for message in living(spec)}
    for kind, spec in SPECS.items():
        yield f"\n## {kind}\n\n{ABOUT[kind]}\n"
        for message in messages(spec):
            if message not in told:
                told.add(message)
                yield from table(message, is_kind=message is spec, lives=message in lived)


def living(message: Message) -> Iterator[Message]:
    """It, and what can be in it without being refused as a whole."""
    yield message
    for field in fields(message).values():
        if field.message and not field.unsupported:
            yield from living(field.message)


def table(message: Message, *, is_kind: bool, lives: bool) -> Iterator[str]:
    if not is_kind:
        yield f"\n### {message.__name__}\n"
    yield "\n| field | type | works | meaning |\n| --- | --- | --- | --- |\n"
    for field in fields(message).values():
        works = f"no: {field.unsupported}" if field.unsupported else "yes" if lives else "no: see what it is in"
        values = f" One of {', '.join(f'`{value}`' for value in field.values)}." if field.values else ""
        yield f"| `{field.name}` | {linked(field)} | {works} | {field.description}{values} |\n"


def linked(field: Field) -> str:
    if field.message is None:
        return field.type
    name = field.message.__name__
    return field.type.replace(name, f"[{name}](#{name.lower()})")
