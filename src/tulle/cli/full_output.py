"""An output that can't be written, such as a file on a full disk, ends a command with one line and not with a traceback.

A reader that has gone (`tulle get vs | head -1`) is click's: it ends the command with 1, and says nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from traceback import walk_tb
from typing import TextIO

import click

from tulle.cli.exits import FAILED


@contextmanager
def told_of_full_output() -> Iterator[None]:
    """Raises SystemExit. What fails otherwise is passed on."""
    try:
        yield
    except OSError as error:
        if not _is_of_echo(error):
            raise
        for stream in (sys.stdout, sys.stderr):
            _give_up(stream)
        with suppress(OSError):
            print(f"Error: the output can't be written: {error.strerror or error}", file=sys.stderr)
        raise SystemExit(FAILED) from None


def _is_of_echo(error: OSError) -> bool:
    """Whether writing failed in click.echo(), through which all output of a command goes."""
    *_, (frame, _) = walk_tb(error.__traceback__)
    return frame.f_code is click.echo.__code__


def _give_up(stream: TextIO | None) -> None:
    """If it still holds what can't be written, the interpreter would try, and fail, once more at its end."""
    if stream is None:
        return
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
