"""What the commands print: JSON for programs; for people tables, the same on a terminal and in a pipe but for colours."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import click
import msgspec

# Words of which a colour says at a glance whether to look closer.
_COLOURS = {
    "healthy": "green",
    "running": "green",
    "unhealthy": "red",
    "starting": "yellow",
    "draining": "yellow",
    "yes": "green",
    "no": "red",
    "acked": "green",
    "sent": "yellow",
    "pending": "yellow",
    "rejected": "red",
}


def print_json(view: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(view), indent=2))


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints nothing but the headers if there are no rows."""
    lines = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(line[column]) for line in [headers, *lines]) for column in range(len(headers))]
    for line in [list(headers), *lines]:
        bold = line == list(headers)
        cells = [_styled(cell, bold) + " " * (width - len(cell)) for cell, width in zip(line, widths, strict=True)]
        click.echo("   ".join(cells).rstrip())


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """One fact a line, its name before it."""
    facts = list(facts)
    width = max(len(name) for name, _ in facts)
    for name, fact in facts:
        click.echo(f"{click.style(name.ljust(width), bold=True)}   {printable(fact)}".rstrip())


def ago(moment: float | None) -> str:
    """How long ago a Unix time was: `7s`, `12m`, `3h`, `5d`; a dash for None."""
    if moment is None:
        return "-"
    passed = max(0.0, time.time() - moment)
    for unit, size, next_size in (("s", 1, 60), ("m", 60, 3600), ("h", 3600, 86400)):
        if passed < next_size:
            return f"{int(passed / size)}{unit}"
    return f"{int(passed / 86400)}d"


def yes(condition: bool) -> str:
    return "yes" if condition else "no"


def reason_in(text: str) -> str:
    """The first line of what an Envoy says of what it rejects: why. What it prints of it follows."""
    return printable(text.partition("\n")[0])


def printable(text: str) -> str:
    """What others sent, made harmless for a terminal and kept on one line."""
    return "".join(character if character.isprintable() else " " for character in text)


def harmless(text: str) -> str:
    """The same of a text that may have several lines."""
    return "\n".join(map(printable, text.split("\n")))


def _styled(cell: str, bold: bool) -> str:
    if bold:
        return click.style(cell, bold=True)
    return click.style(cell, fg=_COLOURS[cell]) if cell in _COLOURS else cell
