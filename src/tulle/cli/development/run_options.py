"""The options of `tulle run` that a service is given, checked by `tulle run` itself: one style of message everywhere."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click

from tulle.cli import run
from tulle.model.names import label_problem


def mistakes_in(options: Sequence[str], name: str = "it") -> list[str]:
    """What `tulle run NAME OPTIONS... -- PROGRAM` would say, without the option's own name before it."""
    if name.startswith("-") and (problem := label_problem("service name", name)):
        return [problem]  # it would be taken for an option
    try:
        context = run.command.make_context("run", [name, *options, "--", "program"])
        run.agent_config(program=context.meta["program"], **context.params)
    except click.ClickException as error:
        listed = error.format_message().split("\n  - ")
        return [_without_option(message, options) for message in (listed[1:] or listed)]
    return []


def _without_option(message: str, options: Sequence[str]) -> str:
    for option in options[::2]:
        message = message.removeprefix(f"{option}: ").removeprefix(f"{option} ")
        message = re.sub(rf"^Invalid value for '{option}': ", "", message)
    return message
