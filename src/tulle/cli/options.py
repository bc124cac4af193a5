"""The options that many commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from tulle.cli.durations import seconds
from tulle.config import data_folder
from tulle.model.names import label_problem

F = TypeVar("F", bound=Callable[..., Any])

LONGEST_WAIT = 3600


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


def files(*, required: bool = True) -> Callable[[F], F]:
    return click.option(
        "-f",
        "--filename",
        "files",
        multiple=True,
        required=required,
        metavar="FILE",
        help="A file, a folder of .yaml, .yml and .json files, or - for standard input; may be repeated.",
    )


def in_namespace(command: F) -> F:
    return click.option(
        "-n",
        "--namespace",
        metavar="NAME",
        callback=_label,
        help="The namespace of what names none.  [default: default]",
    )(command)


def all_namespaces(command: F) -> F:
    return click.option("-A", "--all-namespaces", is_flag=True, help="Of every namespace.")(command)


def labels(command: F) -> F:
    return click.option(
        "-l", "--selector", "labels", metavar="SELECTOR", default="", help="Only those with these labels: KEY=VALUE,..."
    )(command)


def dry_run(command: F) -> F:
    return click.option("--dry-run", is_flag=True, help="Check, and say what would be done; change nothing.")(command)


def wait(command: F) -> F:
    """Two options: `wait`, and `timeout` in seconds."""
    command = click.option(
        "--timeout",
        metavar="DURATION",
        default="30s",
        show_default=True,
        callback=_timeout,
        help="How long --wait waits, such as 90s or 5m.",
    )(command)
    return click.option(
        "--wait", is_flag=True, help="Return when every sidecar that needs the change has acknowledged it."
    )(command)


def _timeout(ctx: click.Context, param: click.Parameter, value: str) -> float:
    try:
        found = seconds(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error
    if not 0 < found <= LONGEST_WAIT:
        raise click.BadParameter(f"it must be more than 0 and at most {LONGEST_WAIT} seconds", ctx, param)
    return found


def _label(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and (problem := label_problem("namespace", value)):
        raise click.BadParameter(problem, ctx, param)
    return value
