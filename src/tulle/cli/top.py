"""`tulle top`: the busiest of the mesh, redrawn as it changes."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from tulle.cli import figures, options
from tulle.cli.client import ControlPlane
from tulle.cli.stat_rows import KINDS, notes, table

_EVERY = 1.0


@click.command("top")
@click.argument("what", type=click.Choice(list(KINDS)), default="services")
@click.argument("name", metavar="[SERVICE]", required=False)
@figures.window
@options.namespace
@options.data
def command(what: str, name: str | None, window: float, namespace: str | None, data: Path) -> None:
    """Watch the busiest services, redrawn as they change.

    Or workloads, routes or proxies; every second. It ends with q or Ctrl-C. Without a terminal it prints once.

    \b
    Examples:
      tulle top
      tulle top routes checkout --window 10s
    """
    control_plane = ControlPlane(data)
    is_live = sys.stdin.isatty() and sys.stdout.isatty()
    with _screen() if is_live else _nothing():
        while True:
            found = figures.asked(control_plane, KINDS[what], window, namespace, name)
            lines = [*table(found, KINDS[what]), *notes(found)]
            if not is_live:
                for line in lines:
                    click.echo(line)
                return
            _draw(f"tulle top {what}, the last {window:g} s   (q ends)", lines)
            if _ended():
                return


def _draw(head: str, lines: list[str]) -> None:
    height = max(3, os.get_terminal_size().lines)
    shown = [time.strftime("%H:%M:%S  ") + head, "", *lines][: height - 1]
    # Each line is cut by the terminal (no wrap), and what was there after it is cleared.
    click.echo("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in shown) + "\x1b[J", nl=False)


def _ended() -> bool:
    """Waits; whether q was pressed meanwhile."""
    try:
        ready, _, _ = select.select([sys.stdin], [], [], _EVERY)
        return bool(ready) and sys.stdin.read(1) in ("q", "Q", "\x03", "")
    except KeyboardInterrupt:
        return True


@contextmanager
def _screen() -> Iterator[None]:
    """The terminal's other screen, keys one by one; put back in any case."""
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin.fileno())
        click.echo("\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J", nl=False)
        yield
    finally:
        click.echo("\x1b[?7h\x1b[?25h\x1b[?1049l", nl=False)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@contextmanager
def _nothing() -> Iterator[None]:
    yield
