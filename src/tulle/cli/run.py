"""`tulle run`: checks everything, all mistakes at once, and becomes the agent."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tulle.cli import options
from tulle.cli.exits import Mistakes

if TYPE_CHECKING:
    from tulle.agent.config import AgentConfig

# An instance's name is its service's with a hyphen and six digits, and must be a DNS label as well.
_MAX_NAME = 63 - 7
_PATH = re.compile(r"/[!-~]*")


class _BeforeTheDashes(click.Command):
    """A command whose own arguments end at the first `--`; the program's follow, and are its own affair."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta["program"] = args[at + 1 :]
            args = args[:at]
        elif not set(args) & set(ctx.help_option_names) and not ctx.resilient_parsing:
            raise click.UsageError("say what to run after two dashes: tulle run NAME [OPTIONS] -- PROGRAM...", ctx)
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "-- PROGRAM..."]


@click.command("run", cls=_BeforeTheDashes)
@click.argument("name")
@click.option("-n", "--namespace", default="default", show_default=True, help="The service's namespace.")
@click.option("--service-account", metavar="NAME", help="Whom its certificate names.  [default: the service's name]")
@click.option("--version", default="", metavar="TEXT", help="The program's version, such as v2.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label of this instance; may be repeated.")
@click.option(
    "--port",
    "ports",
    multiple=True,
    metavar="PORT",
    help="A port of the service, [NAME:]PORT[:TARGET][/PROTOCOL]; may be repeated.  [default: port 80, served on $PORT]",
)
@click.option("--health", metavar="PATH", help="Healthy when this path answers 2xx.  [default: when it can be connected to]")
@click.option("--drain", default="30s", show_default=True, metavar="DURATION", help="How long requests may take at the end.")
@click.option("--grace", default="10s", show_default=True, metavar="DURATION", help="How long the program may take to end.")
@options.data
@options.log_format
@click.pass_context
def command(ctx: click.Context, **given: Any) -> None:
    """Run a program as an instance of the service NAME, with a sidecar beside it.

    The program is told in $PORT where to listen; one that only calls others need not listen at all. It calls other
    services by name, as http://service-b/ or http://service-b.other-namespace:8080/. It is started again by nobody:
    when it ends, so does this command, with its exit code.

    \b
    --port 8080           service port 8080, and the program listens on 8080
    --port 80:8080        service port 80, and the program listens on 8080
    --port 9000/grpc      the protocol: http (the default), http2 or grpc
    --port grpc-api:9000  the same by the port's name, as in Istio
    Where none of the ports is 80, port 80 leads to the first of them too.

    \b
    Examples:
      tulle run service-b -- python b.py
      tulle run service-b --version v2 --health /healthz -- gunicorn -b 127.0.0.1:8000 app:app
      tulle run service-b --port 80:8000 -- uvicorn --port 8000 app:app
    """
    config = agent_config(given, ctx.meta["program"])
    sys.stdout.flush()
    argv = config.argv()
    os.execv(argv[0], argv)  # noqa: S606  the agent takes this process's place


def agent_config(given: dict[str, Any], program: Sequence[str]) -> AgentConfig:
    """What the agent is told. Raises Mistakes with all that is wrong with the options."""
    from tulle.agent.config import AgentConfig, Port
    from tulle.api.registration import workload_problems
    from tulle.cli.durations import seconds
    from tulle.cli.ports import parse_port, with_default_port
    from tulle.model.names import ServiceName
    from tulle.model.workload import Workload

    mistakes: list[str] = []

    def valid(parse: Any, *arguments: str) -> Any:
        try:
            return parse(*arguments)
        except ValueError as error:
            mistakes.append(str(error))

    name, data = given["name"], given["data"]
    account = given["service_account"] or name
    labels = tuple(filter(None, [valid(_label, text) for text in given["labels"]]))
    ports = tuple(filter(None, [valid(parse_port, text) for text in given["ports"]]))
    health = given["health"] and valid(_health_path, given["health"])
    drain, grace = valid(seconds, given["drain"]), valid(seconds, given["grace"])
    if not program or not program[0]:
        mistakes.append("say what to run after the two dashes: tulle run NAME [OPTIONS] -- PROGRAM...")
