"""`tulle authz check` and `tulle authz explain`: who may call what, and why."""

from __future__ import annotations

import click

from tulle.cli.access import check, explain


@click.group("authz")
def command() -> None:
    """Say who may call what, and why.

    \b
    Examples:
      tulle authz check web reviews GET /admin
      tulle authz explain reviews
    """


command.add_command(check.command)
command.add_command(explain.command)
