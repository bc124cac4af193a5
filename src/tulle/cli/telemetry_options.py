"""The options of `tulle run` that say what is told of a program's calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def trace(command: F) -> F:
    return click.option(
        "--trace/--no-trace",
        help="Have a Python program pass on the context of the trace that it is called in; no change of it is needed.  "
        "[default: --no-trace; with `tulle dev` --trace]",
    )(command)
