"""The options that many commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from tulle.config import data_folder

F = TypeVar("F", bound=Callable[..., Any])


def data(command: F) -> F:
    return click.option(
        "--data",
        metavar="FOLDER",
        callback=lambda ctx, param, value: data_folder(value),
        help="The state folder.  [env var: TULLE_DATA; default: ~/.local/state/tulle]",
    )(command)


def output(command: F) -> F:
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="What to print.",
    )(command)


def namespace(command: F) -> F:
    return click.option("-n", "--namespace", metavar="NAME", help="Only this namespace.  [default: all]")(command)


def log_format(command: F) -> F:
    return click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="How to write the log, which goes to stderr.",
    )(command)
