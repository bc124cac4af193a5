"""`tulle version`: of this command, of the control plane that runs, and of the Envoy that it speaks to."""

from __future__ import annotations

from pathlib import Path

import click
from msgspec import Struct

from tulle import __version__
from tulle.cli import options
from tulle.cli.client import ControlPlane
from tulle.cli.exits import Unreachable
from tulle.cli.printing import print_facts, print_json


class _Running(Struct):
    version: str
    envoy: str


class _Versions(Struct):
    tulle: str
    control_plane: _Running | None


@click.command("version")
@options.output
@options.data
def command(output: str, data: Path) -> None:
    """Show the versions of tulle and of its Envoy.

    \b
    Examples:
      tulle version
      tulle version -o json
    """
    try:
        running = ControlPlane(data).get("/v1/version", _Running)
    except Unreachable:
        running = None
    if output == "json":
        print_json(_Versions(__version__, running))
        return
    facts = [("tulle", __version__), ("control plane", running.version if running else f"none runs on {data}")]
    print_facts([*facts, ("Envoy", running.envoy)] if running else facts)
