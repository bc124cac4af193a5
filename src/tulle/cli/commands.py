"""The list of commands, and how one is found: its file is imported when it is run, not for `tulle --help`."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module

import click

import tulle as package

# The file in this folder, with _ for a blank -> the first line of its help.
COMMANDS = {
    "up": "Start the control plane.",
    "run": "Run a program as an instance of a service.",
    "dev": "Run all programs of a tulle.yaml or Procfile.",
    "validate": "Check documents as `tulle apply` does, but only that.",
    "explain": "Show what fields a kind of resource has, and their meaning.",
    "explain request": "Say what would happen to a request, step by step.",
    "apply": "Create resources, or change them to what documents say.",
    "analyze": "Find what is valid and does nothing.",
    "get": "List resources, or print some of them.",
    "describe": "Show all that is known of resources.",
    "diff": "Show what applying documents would change.",
    "edit": "Change a resource in an editor.",
    "delete": "Delete resources.",
    "stat": "Show rate, success and latency of calls.",
    "top": "Watch the busiest services, redrawn as they change.",
    "edges": "Show who calls whom.",
    "routes": "Show which routes calls take.",
    "tap": "Watch requests as they end.",
    "why": "Say what happened to a request, and what would happen now.",
    "logs": "Show what control plane and agents say, or how much of it.",
    "shift": "Divide a service's calls among its versions.",
    "weight": "Give an instance another share of the calls.",
    "authz": "Say who may call what, and why.",
    "ui": "Open the dashboard in a browser.",
    "status": "Show the control plane and its mesh in numbers.",
    "services": "List the services and their instances.",
    "proxies": "List the sidecars, and whether they are in sync.",
    "proxy": "Show one sidecar and its configuration, or restart it.",
    "trace": "List traces, or show who called whom, and how long.",
    "ca": "Show the certificate authority, or rotate its root.",
    "token": "Make, list or revoke join tokens.",
    "revoke": "Throw a workload out of the mesh.",
    "user": "Make, list or revoke tokens of people.",
    "audit": "Show who changed what, and who was refused.",
    "forget": "Forget a service that has no live instance.",
    "bundle": "Write files for Prometheus, Grafana or OpenTelemetry.",
    "version": "Show the versions of tulle and of its Envoy.",
}


class LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"tulle.cli.{cmd_name.replace(' ', '_')}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if " ".join(args[:2]) in COMMANDS and not ctx.resilient_parsing:
            args = [" ".join(args[:2]), *args[2:]]
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            near = get_close_matches(args[0], COMMANDS, 1)
            hint = f"did you mean {near[0]}?" if near else "`tulle --help` lists them"
            ctx.fail(f"there is no command {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package.__version__, message="%(prog)s %(version)s")
def tulle() -> None:
    """A service mesh for teams that write services in Python.

    \b
    Three terminals make a mesh:
      tulle up
      tulle run service-b -- python b.py      # listens on $PORT
      tulle run service-a -- python a.py      # calls http://service-b/

    `tulle COMMAND --help` shows examples. Exit codes: 0 done, 1 refused or not there, 2 a mistake in the command line,
    3 no control plane; `tulle run` passes its program's own through.
    """
