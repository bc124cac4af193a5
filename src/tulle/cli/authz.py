"""`tulle authz check`, `explain` and `suggest`: who may call what, why, and who ought to."""

from __future__ import annotations

import click

from tulle.cli.access import check, explain, suggest


@click.group("authz")
def command() -> None:
    """Say who may call what, and why.

    \b
    Examples:
      tulle authz check web reviews GET /admin
      tulle authz explain reviews
      tulle authz suggest reviews
    """


command.add_command(check.command)
command.add_command(explain.command)
command.add_command(suggest.command)
