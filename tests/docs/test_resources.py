"""docs/reference/resources.md is what `tulle explain` says, field by field; --update-resources-table writes it anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from tulle.model.resources.resource import SPECS
from tulle.sources.descriptions.fields import ABOUT, DESCRIPTIONS, Field, Message, fields
from tulle.sources.unsupported import UNSUPPORTED, messages

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
    for message, reasons in UNSUPPORTED.items():
        assert set(reasons) <= set(fields(message))
        assert all(reasons.values())


def tables() -> Iterator[str]:
    told: set[Message] = set()
    for kind, spec in SPECS.items():
        yield f"\n## {kind}\n\n{ABOUT[kind]}\n"
        for message in messages(spec):
            if message not in told:
                told.add(message)
                yield from table(message, is_kind=message is spec)


def table(message: Message, *, is_kind: bool) -> Iterator[str]:
    if not is_kind:
        yield f"\n### {message.__name__}\n"
    yield "\n| field | type | works | meaning |\n| --- | --- | --- | --- |\n"
    for field in fields(message).values():
        works = f"no: {field.unsupported}" if field.unsupported else "yes"
        values = f" One of {', '.join(f'`{value}`' for value in field.values)}." if field.values else ""
        yield f"| `{field.name}` | {linked(field)} | {works} | {field.description}{values} |\n"


def linked(field: Field) -> str:
    if field.message is None:
        return field.type
    name = field.message.__name__
    return field.type.replace(name, f"[{name}](#{name.lower()})")
