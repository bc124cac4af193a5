"""`tulle dev`: all programs of a tulle.yaml or Procfile in one terminal. What it does is in cli/development."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from tulle.cli import options
from tulle.cli.development.plan import Plan, Service
from tulle.cli.development.procfile import read_procfile
from tulle.cli.development.running import Wishes, develop
from tulle.cli.development.screen import Screen
from tulle.cli.development.tulle_yaml import read_tulle_yaml
from tulle.cli.exits import Failed, Mistakes, Unreadable
from tulle.cli.printing import print_json, print_table
from tulle.cli.yaml_lines import nearest

_FILES = ("tulle.yaml", "tulle.yml", "Procfile")

_EXAMPLE = """
  services:
    service-b:
      command: python b.py       # listens on $PORT
    service-a:
      command: python a.py       # calls http://service-b/
      depends_on: [service-b]
"""


@click.command("dev")
@click.argument("services", nargs=-1, metavar="[SERVICE]...")
@click.option("-f", "--file", metavar="FILE", help="What to run.  [default: tulle.yaml, tulle.yml or Procfile]")
@click.option("--watch", is_flag=True, help="Restart a service when its files change.")
@click.option("--exit-on-failure", is_flag=True, help="End all when a program fails for good.")
@click.option("--check", is_flag=True, help="Only check the file, and print what would run.")
@options.output
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Whether to use colours; auto: on a terminal.",
)
@click.option("--no-color", is_flag=True, help="The same as --color never.")
@options.data
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to write what the programs say, to stdout.",
)
def command(
    services: Sequence[str],
    file: str | None,
    watch: bool,
    exit_on_failure: bool,
    check: bool,
    output: str,
    color: str,
    no_color: bool,
    data: Path,
    log_format: str,
) -> None:
    """Run all programs of a tulle.yaml or Procfile.

    Each becomes an instance of its service, as with `tulle run`; what they say comes together in this terminal. A
    control plane is started if none runs. Ctrl-C ends all in good order, a second one hurries. With SERVICEs, only
    these run, and what they depend on.

    \b
    Examples:
      tulle dev
      tulle dev --watch
      tulle dev -f shop.yaml --check
      tulle dev --no-color service-a
    """
    if output == "json" and not check:
        raise Mistakes(["-o json is for --check; for what the programs say write --log-format json"])
    plan = _plan(file)
    known = {service.name for service in plan.services}
    if unknown := [name for name in dict.fromkeys(services) if name not in known]:
        raise Mistakes([f"there is no service {name} in {plan.file.name}; {nearest(name, known)}" for name in unknown])
    plan = plan.only(services)
    if check:
        _print_plan(plan, output)
        return
    colours = color == "always" or (color == "auto" and sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
    screen = Screen(sys.stdout.fileno(), log_format, colours=colours and not no_color)
    wishes = Wishes(data.resolve(), watch, exit_on_failure)
    sys.exit(asyncio.run(develop(plan, wishes, screen)))


def _plan(given: str | None) -> Plan:
    """What the file says. Raises Unreadable, or Mistakes with all that is wrong with it."""
    shown = given or next((name for name in _FILES if Path(name).is_file()), None)
    if shown is None:
        raise Failed(
            f"there is no {', '.join(_FILES[:-1])} or {_FILES[-1]} here. A tulle.yaml to begin with:\n{_EXAMPLE}"
        )
    file = Path(shown).resolve()
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise Unreadable(f"{shown} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Unreadable(f"{shown} can't be read: it is not UTF-8") from error
    read = read_procfile if file.name.startswith("Procfile") else read_tulle_yaml
    plan, mistakes = read(file, text, shown)
    if mistakes:
        raise Mistakes([str(mistake) for mistake in mistakes])
    return plan


def _print_plan(plan: Plan, output: str) -> None:
    if output == "json":
        print_json([_shown(service) for service in plan.services])
        return
    rows = [
        (
            str(number),
            service.name,
            str(service.replicas),
            ", ".join(service.depends_on) or "-",
            shlex.join(service.command),
        )
        for number, service in enumerate(plan.services, 1)
    ]
    print_table(("", "SERVICE", "REPLICAS", "AFTER", "COMMAND"), rows)


def _shown(service: Service) -> dict[str, object]:
    """Variables are named only: their values may be secret."""
    return {
        "name": service.name,
        "namespace": service.namespace,
        "command": service.command,
        "folder": str(service.folder),
        "env": sorted(service.environment),
        "options": service.options,
        "replicas": service.replicas,
        "watch": [str(path) for path in service.watch],
        "depends_on": service.depends_on,
    }
