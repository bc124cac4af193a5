"""Figures in the cells of a table: rates, shares, lengths of time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click

from tulle.cli.printing import printable

_GOOD, _FAIR = 0.999, 0.99


def rate(a_second: float) -> str:
    return f"{a_second:.1f}" if a_second else "-"


def share(value: float | None) -> str:
    """In percent; never 100 % where anything is missing."""
    if value is None:
        return "-"
    percent = value * 100
    text = f"{percent:.2f}"
    return f"{'99.99' if text == '100.00' and value < 1 else text}%"


def milliseconds(value: float | None) -> str:
    if value is None:
        return "-"
    if value >= 10_000:
        return f"{value / 1000:.1f}s"
    return f"{value:.0f}ms" if value >= 10 else f"{value:.1f}ms"


def size(bytes_a_second: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if bytes_a_second < 1000 or unit == "GB":
            break
        bytes_a_second /= 1000
    return f"{bytes_a_second:.0f}{unit}/s" if bytes_a_second else "-"


def success_colour(value: float | None) -> str | None:
    if value is None:
        return None
    return "green" if value >= _GOOD else "yellow" if value >= _FAIR else "red"


def lines(
    headers: Sequence[str], rows: Iterable[Sequence[str]], coloured: int, colours: Sequence[str | None]
) -> list[str]:
    """A table as lines, to be redrawn. coloured: which column has a colour, a row each."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(line[column]) for line in [headers, *cells]) for column in range(len(headers))]
    found = [
        click.style(
            "   ".join(head.ljust(width) for head, width in zip(headers, widths, strict=True)).rstrip(), bold=True
        )
    ]
    for row, colour in zip(cells, colours, strict=True):
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        if colour:
            padded[coloured] = click.style(padded[coloured], fg=colour)
        found.append("   ".join(padded).rstrip())
    return found
