"""The options of `tulle run` that have it join a mesh whose control plane is on another machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from tulle.cli.exits import Mistakes
from tulle.model.join_token import MAX_SIZE, NoJoinToken, decode

F = TypeVar("F", bound=Callable[..., Any])

JOIN_VARIABLE = "TULLE_JOIN"


def join(command: F) -> F:
    """`--join`, `--join-file` and `--join-jwt`, which `joining_by` reads, and `--address`."""
    for option in (
        click.option(
            "--address",
            metavar="IP",
            help="Where sidecars on other machines reach this one.  [default: on loopback; where it joins another "
            "machine, the address from which it gets there]",
        ),
        click.option(
            "--join-jwt",
            metavar="FILE",
            help="Prove oneself by the JWT in this file, with a token of `tulle token create --jwt`.",
        ),
        click.option("--join-file", metavar="FILE", help="The same, out of a file."),
        click.option(
            "--join",
            metavar="TOKEN",
            help="Join a control plane on another machine by what `tulle token create` printed; - reads it from standard "
            "input. Others on this machine may see a command line: better in a file, or here.  [env var: TULLE_JOIN]",
        ),
    ):
        command = option(command)
    return command


def joining_by(join: str | None, join_file: str | None, join_jwt: str | None, variable: str) -> str:
    """The join token, wherever it was given; "" if it was not. Raises Mistakes."""
    if join == "-":
        text, where = sys.stdin.readline(MAX_SIZE + 1), "standard input"
    elif join is not None:
        text, where = join, "--join"
    elif join_file is not None:
        try:
            with Path(join_file).open("rb") as file:
                text, where = file.read(MAX_SIZE + 2).decode("ascii", "replace"), f"--join-file {join_file}"
        except OSError as error:
            raise Mistakes([f"--join-file {join_file}: {error.strerror}"]) from error
    else:
        text, where = variable, JOIN_VARIABLE
    text = text.strip()
    if not text and where == JOIN_VARIABLE:
        if join_jwt:
            raise Mistakes(
                ["--join-jwt needs a join token, which says where the control plane is: tulle token create --jwt"]
            )
        return ""
    try:
        token = decode(text)
    except NoJoinToken as error:
        raise Mistakes([f"{where}: {error}"]) from error
    if join_jwt and token.id:
        raise Mistakes(["--join-jwt goes with a token of `tulle token create --jwt`; this one has a secret of its own"])
    if not join_jwt and not token.id:
        raise Mistakes([f"{where}: the join token has no secret; say which JWT proves this instance: --join-jwt FILE"])
    return text
