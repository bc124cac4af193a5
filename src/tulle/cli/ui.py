"""`tulle ui`: a way into the dashboard, for the browser of whoever may ask."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

import click

from tulle.api.identity_views import TicketView
from tulle.cli import options
from tulle.cli.client import ControlPlane
from tulle.cli.printing import print_json

_WITHIN = 10.0
_OPENER = """
import os, pathlib, sys, time, webbrowser
path = pathlib.Path(sys.argv[1])
try:
    webbrowser.open(path.as_uri())
    time.sleep(float(sys.argv[2]))
finally:
    os.unlink(path)
"""


@click.command("ui")
@click.option(
    "--role",
    type=click.Choice(["viewer", "admin"]),
    help="Sign in with no more than this.  [default: all that you may do]",
)
@click.option("--no-open", is_flag=True, help="Open no browser, only print the link.")
@options.output
@options.data
def command(role: str | None, no_open: bool, output: str, data: Path) -> None:
    """Open the dashboard in a browser.

    Prints a link that signs one browser in: it is good once, for a minute. Where there is a terminal and a graphical desktop, a
    browser is opened as well. Whoever has a token of `tulle user` can also sign in on the page itself.

    The dashboard is on loopback. To see that of another machine, forward its port, the same on both sides:
    `ssh -L PORT:127.0.0.1:PORT MACHINE`, and run `tulle ui --no-open` there.

    \b
    Examples:
      tulle ui
      tulle ui --role viewer --no-open
    """
    query = [("role", role)] if role else []
    control_plane = ControlPlane(data)
    ticket = control_plane.post("/v1/ui/tickets", TicketView, _WITHIN, query=query)
    if output == "json":
        print_json(ticket)
        return
    click.echo(ticket.url)
    click.echo(f"it signs one browser in as {ticket.role}, within {ticket.seconds:.0f} s", err=True)
    if not control_plane.is_here:
        port = urlsplit(ticket.url).port
        click.echo(f"on this machine after: ssh -L {port}:127.0.0.1:{port} MACHINE OF THE CONTROL PLANE", err=True)
    elif not no_open and sys.stdout.isatty() and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        _open(ticket)


def _open(ticket: TicketView) -> None:
    """By a file that only we can read, as the browser's command line is for all users of the machine to see.

    A process of its own removes the file when the ticket is worth nothing: a browser that is started here may stay for long, and
    has much to say on its stderr.
    """
    descriptor, path = tempfile.mkstemp(prefix="tulle-", suffix=".html")
    with os.fdopen(descriptor, "w") as file:
        file.write(f'<!doctype html><meta http-equiv="refresh" content="0; url={escape(ticket.url)}">')
    subprocess.Popen(
        [sys.executable, "-c", _OPENER, path, str(ticket.seconds)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
