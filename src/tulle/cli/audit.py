"""`tulle audit`: what the control plane's audit log says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from tulle.cli import options
from tulle.cli.client import ControlPlane
from tulle.cli.durations import seconds
from tulle.cli.exits import Mistakes
from tulle.cli.printing import printable

# What the table says in its own columns; before and after only `-o json` shows.
_SHOWN = ("time", "event", "who", "what", "before", "after")


@click.command("audit")
@click.option("-f", "--follow", is_flag=True, help="Go on, and print what happens.")
@click.option("--since", metavar="DURATION", help="Only what is not older, such as 10m or 24h.  [default: all]")
@options.output
@options.data
def command(follow: bool, since: str | None, output: str, data: Path) -> None:
    """Show who changed what, and who was refused.

    And who was given a certificate. It is for admins. What a change replaced, and by what, is in the JSON: a line for each
    event.

    \b
    Examples:
      tulle audit --since 1h
      tulle audit -f -o json
    """
    query = [("since", repr(time.time() - _seconds(since)))] if since else []
    if follow:
        query.append(("follow", "1"))
    for event in _events(ControlPlane(data).follow("/v1/audit", dict[str, Any], query)):
        click.echo(msgspec.json.encode(event).decode() if output == "json" else _line(event))


def _events(found: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    try:
        yield from found
    except KeyboardInterrupt:
        return


def _line(event: dict[str, Any]) -> str:
    """Not in columns, as what comes next is not known yet."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event["time"]))
    words = [when, *(str(event[name]) for name in ("event", "who", "what") if event.get(name))]
    words += [f"{name}={value}" for name, value in event.items() if name not in _SHOWN]
    return printable("  ".join(words))


def _seconds(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise Mistakes([f"--since: {error}"]) from error
