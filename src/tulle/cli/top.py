"""`tulle top`: the busiest of the mesh, redrawn as it changes."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from tulle.cli import figures, options
from tulle.cli.client import ControlPlane
from tulle.cli.exits import Failed, Unreachable
from tulle.cli.printing import printable
from tulle.cli.stat_rows import KINDS, notes, table

_EVERY = 1.0
_LINES = 24  # of a terminal that does not say


@click.command("top")
@figures.what(list(KINDS))
@figures.window
@options.namespace
@options.data
def command(what: tuple[str, str | None], window: float, namespace: str | None, data: Path) -> None:
    """Watch the busiest services, redrawn as they change.

    Or workloads, routes or proxies; every second. It ends with q or Ctrl-C. Without a terminal it prints once.

    \b
    Examples:
      tulle top
      tulle top routes checkout --window 10s
    """
    control_plane, (kind, name) = ControlPlane(data), what

    def lines() -> list[str]:
        found = figures.asked(control_plane, KINDS[kind], window, namespace, name)
        return [*table(found, KINDS[kind]), *notes(found)]

    shown = lines()
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") == "dumb":
        for line in shown:
            click.echo(line)
        return
    with suppress(KeyboardInterrupt), _screen():
        while True:
            _draw(f"tulle top {kind}, the last {window:g} s   (q ends)", shown)
            if _ended():
                return
            try:
                shown = lines()
            except (Failed, Unreachable) as error:  # it may only be restarted, and the service be gone for a moment
                shown = [click.style(printable(error.message), fg="red")]


def _draw(head: str, lines: list[str]) -> None:
    height = max(3, os.get_terminal_size().lines or _LINES)
    shown = [time.strftime("%H:%M:%S  ") + head, "", *lines][: height - 1]
    # Each line is cut by the terminal (no wrap), and what was there after it is cleared.
    click.echo("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in shown) + "\x1b[J", nl=False)


def _ended() -> bool:
    """Waits; whether q was pressed meanwhile, or the terminal is gone."""
    ready, _, _ = select.select([sys.stdin], [], [], _EVERY)
    if not ready:
        return False
    try:
        # Not by sys.stdin, which would keep what was typed at once.
        keys = os.read(sys.stdin.fileno(), 1024)
    except OSError:
        return True
    return not keys or any(key in keys for key in b"qQ\x03")


@contextmanager
def _screen() -> Iterator[None]:
    """The terminal's other screen, keys one by one; put back in any case, also when the process is told to end."""
    before = termios.tcgetattr(sys.stdin)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        tty.setcbreak(sys.stdin.fileno())
        click.echo("\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J", nl=False)
        yield
    finally:
        with suppress(OSError, termios.error):  # the terminal may be gone
            click.echo("\x1b[?7h\x1b[?25h\x1b[?1049l", nl=False)
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
