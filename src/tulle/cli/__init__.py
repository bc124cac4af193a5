"""The `tulle` command, thin over the API. Each command is a file of its own, imported only when it is asked for."""

from __future__ import annotations

import os


def main() -> None:
    """The entry point. Ends the process with one of the codes of exits.py."""
    from tulle.cli.commands import tulle
    from tulle.cli.full_output import told_of_full_output

    with told_of_full_output():
        # https://no-color.org; without it, click colours what goes to a terminal and nothing else.
        tulle(prog_name="tulle", color=False if os.environ.get("NO_COLOR") else None)
