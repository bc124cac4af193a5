"""The exit codes of the `tulle` command, and the errors that lead to them. Errors are printed on stderr.

0  done
1  the control plane said no: what was asked for is not there, or can't be done
2  the command line makes no sense, or names a file that can't be read; nothing was done
3  no control plane could be reached

`tulle validate` and `tulle analyze` end with 1 for what they find, `tulle diff` for differences; as with diff(1) and kubectl,
whatever keeps it from telling these is 2, or 3.

`tulle run` ends with its program's own exit code: 128 + N for a program that signal N ended, 125 if the agent failed, 126
if the program can't be executed, 127 if there is none (see agent/exits.py). A mistake in its options is 2 as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

FAILED = 1
USAGE = 2
UNREACHABLE = 3


class Failed(click.ClickException):
    """What was asked for is not there, or can't be done."""

    exit_code = FAILED


class Unreadable(Failed):
    """A file that the command line names can't be read."""

    exit_code = USAGE


class Unreachable(click.ClickException):
    """There is no control plane to ask."""

    exit_code = UNREACHABLE


class Mistakes(click.UsageError):
    """All that is wrong with a command line at once."""

    exit_code = USAGE

    def __init__(self, mistakes: Sequence[str]) -> None:
        listed = "\n  - ".join([f"{len(mistakes)} mistakes:", *mistakes])
        super().__init__(mistakes[0] if len(mistakes) == 1 else listed)
