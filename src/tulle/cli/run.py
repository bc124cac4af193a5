"""`tulle run`: checks everything, all mistakes at once, and becomes the agent."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from tulle.agent.capture.choose import AUTO, MODES
from tulle.agent.config import AgentConfig, Port
from tulle.agent.joining import handed
from tulle.agent.restarts import NO, POLICIES
from tulle.api.registration import MOST_WEIGHT, workload_problems
from tulle.cli import joining_options, options, telemetry_options
from tulle.cli.durations import seconds
from tulle.cli.exits import Mistakes
from tulle.cli.joining_options import JOIN_VARIABLE, joining_by
from tulle.cli.ports import parse_port, with_default_port
from tulle.cli.telemetry_options import ANY_PORT, agent_metrics, scraped
from tulle.config import API_TOKEN
from tulle.model.names import ServiceName, is_label
from tulle.model.peer import peer_of, written
from tulle.model.workload import Proxy, ServicePort, Workload
from tulle.registry.admission import address_problems, problems_of

T = TypeVar("T")

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
@click.option(
    "-n", "--namespace", default="default", metavar="NAME", show_default=True, help="The service's namespace."
)
@click.option("--service-account", metavar="NAME", help="Whom its certificate names.  [default: the service's name]")
@click.option("--version", default="", metavar="TEXT", help="The program's version, such as v2.")
@click.option(
    "--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label of this instance; may be repeated."
)
@click.option(
    "--weight",
    type=click.IntRange(1, MOST_WEIGHT),
    default=1,
    show_default=True,
    help="Its share of the calls beside the service's other instances.",
)
@click.option(
    "--locality", default="", metavar="REGION/ZONE/SUBZONE", help="Where it runs: calls stay near, as rules say."
)
@click.option(
    "--port",
    "ports",
    multiple=True,
    metavar="PORT",
    help="A port of the service, [NAME:]PORT[:TARGET][/PROTOCOL]; may be repeated.  [default: where the program listens]",
)
@click.option(
    "--health", metavar="PATH", help="Healthy when this path answers 2xx.  [default: when it can be connected to]"
)
@click.option(
    "--capture",
    type=click.Choice([AUTO, *MODES]),
    default=AUTO,
    show_default=True,
    help="How the program's own connections come to the sidecar; auto takes the best that this machine allows.",
)
@joining_options.join
@click.option(
    "--inbound-port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Where the sidecar takes calls, for clients without a sidecar.  [default: any free one; sidecars find it]",
)
@telemetry_options.metrics
@click.option("--isolate", is_flag=True, help="The same as --capture netns: in a network namespace of its own.")
@click.option(
    "--workload-api",
    is_flag=True,
    help="Serve the SPIFFE Workload API to the program: $SPIFFE_ENDPOINT_SOCKET names its socket.",
)
@click.option(
    "--restart",
    type=click.Choice(POLICIES),
    default=NO,
    show_default=True,
    help="Whether the program is started again when it ends by itself.",
)
@click.option(
    "--drain", default="30s", show_default=True, metavar="DURATION", help="How long requests may take at the end."
)
@click.option(
    "--grace", default="10s", show_default=True, metavar="DURATION", help="How long the program may take to end."
)
@click.option(
    "--systemd",
    is_flag=True,
    expose_value=False,
    callback=lambda ctx, param, value: ctx.meta.update(systemd=value),
    help="Run nothing; print a unit file that has systemd run this command.",
)
@telemetry_options.trace
@options.data
@options.log_format
@click.option("--log-file", metavar="FILE", help="Write the log there: stdout and stderr are the program's alone.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Run a program as an instance of a service.

    The program gets a sidecar beside it. It calls services by name, as http://service-b/ or postgres://db, whatever its
    language and client. It may listen on $PORT, or where it likes: a single port is found by itself. When the program
    ends, so does this command, with its exit code.

    \b
    --port 8080           service port 8080, and the program listens on 8080
    --port 80:8080        service port 80, and the program listens on 8080
    --port 9000/grpc      the protocol: http (the default), http2, grpc or tcp
    --port grpc-api:9000  the same by the port's name, as in Istio
    --port 5432           tcp: so are the ports of well-known databases and queues
    Where none of the ports is 80, port 80 leads to the first one of HTTP too.

    \b
    Examples:
      tulle run service-b -- python b.py
      tulle run service-b --version v2 --health /healthz -- gunicorn app:app
      tulle run service-b --port 80:8000 -- uvicorn --port 8000 app:app
      tulle run db -- postgres -D data
      tulle run shell --isolate -- bash
      tulle run service-b --systemd -- python b.py > tulle-service-b.service
      tulle run service-b --join-file token -- python b.py
    """
    config = agent_config(program=ctx.meta["program"], **given)
    if ctx.meta["systemd"]:
        if given["join"]:
            raise Mistakes(
                ["--systemd: a unit file is no place for a secret; put the token in a file: --join-file FILE"]
            )
        _print_unit(ctx, config)
        return
    # Neither the agent nor the program is to have tokens in its environment, where they stay to be seen.
    os.environ.pop(API_TOKEN, "")
    token = joining_by(given["join"], given["join_file"], given["join_jwt"], os.environ.pop(JOIN_VARIABLE, ""))
    if token:
        config = replace(config, join=handed(token))
    argv = config.argv()
    os.execv(argv[0], argv)  # noqa: S606  the agent takes this process's place


def _print_unit(ctx: click.Context, config: AgentConfig) -> None:
    from tulle.cli import systemd

    try:
        click.echo(systemd.unit(config, systemd.given_options(ctx), systemd.here()))
    except ValueError as error:
        raise Mistakes([f"--systemd: {error}"]) from error


def agent_config(
    *,
    name: str,
    namespace: str,
    service_account: str | None,
    version: str,
    labels: Sequence[str],
    weight: int,
    locality: str,
    ports: Sequence[str],
    health: str | None,
    capture: str,
    isolate: bool,
    restart: str,
    drain: str,
    grace: str,
    data: Path,
    log_format: str,
    log_file: str | None,
    program: Sequence[str],
    workload_api: bool = False,
    inbound_port: int | None = None,
    trace: bool = False,
    join: str | None = None,
    join_file: str | None = None,
    join_jwt: str | None = None,
    address: str | None = None,
    metrics: str = ANY_PORT,
    scrape: str | None = None,
) -> AgentConfig:
    """What the agent is told. Raises Mistakes with all that is wrong with the options."""
    mistakes: list[str] = []
    parsed_labels = _parsed(_label, labels, mistakes)
    parsed_ports = _parsed(parse_port, ports, mistakes)
    health_path = _parsed(_path, [health] if health is not None else [], mistakes)
    served = _parsed(agent_metrics, [metrics], mistakes)
    merged = _parsed(scraped, [scrape] if scrape is not None else [], mistakes)
    periods = _parsed(_period, [f"--drain {drain}", f"--grace {grace}"], mistakes)
    workload = _workload(name, namespace, service_account, version, parsed_labels, parsed_ports, locality)
    mistakes.extend(_name_mistakes(name, workload))
    if join is not None and join_file is not None:
        mistakes.append("--join and --join-file contradict each other")
    if address is not None:
        mistakes.extend(f"--address: {problem}" for problem in address_problems(address))
    if isolate and capture not in (AUTO, "netns"):
        mistakes.append(f"--isolate and --capture {capture} contradict each other; --isolate is --capture netns")
    if inbound_port in {port.target for port in parsed_ports}:
        mistakes.append(
            f"--inbound-port {inbound_port}: the program listens there; give the sidecar another port, or the program"
        )
    if not program:
        mistakes.append("say what to run after the two dashes: tulle run NAME [OPTIONS] -- PROGRAM...")
    if mistakes:
        raise Mistakes(mistakes)
    return AgentConfig(
        service=name,
        data=str(data),
        command=tuple(program),
        service_account=service_account or name,
        namespace=namespace,
        version=version,
        labels=tuple(parsed_labels),
        weight=weight,
        locality=locality,
        ports=tuple(
            Port(port.number, port.target, port.protocol.value, port.name) for port in with_default_port(parsed_ports)
        ),
        health_path=health_path[0] if health_path else None,
        envoy=os.environ.get("TULLE_ENVOY") or None,
        drain_seconds=periods[0],
        grace_seconds=periods[1],
        log_format=log_format,
        log_file=log_file and str(Path(log_file).absolute()),
        capture="netns" if isolate else capture,
        restart=restart,
        workload_api=workload_api,
        address=address or "",
        jwt_file=join_jwt and str(Path(join_jwt).absolute()),
        inbound_port=inbound_port,
        trace=trace,
        metrics=served[0],
        scrape=merged[0] if merged else "",
        peer=written(peer_of(workload)),
    )


def _parsed(parse: Callable[[str], T], texts: Iterable[str], mistakes: list[str]) -> list[T]:
    values = []
    for text in texts:
        try:
            values.append(parse(text))
        except ValueError as error:
            mistakes.append(str(error))
    return values


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--label {text}: write KEY=VALUE")
    return key, value


def _path(text: str) -> str:
    if _PATH.fullmatch(text) is None:
        raise ValueError(f"--health {text}: write a path that begins with a slash, such as /healthz")
    return text


def _period(text: str) -> float:
    option, _, duration = text.partition(" ")
    try:
        return seconds(duration)
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from error


def _workload(
    name: str,
    namespace: str,
    service_account: str | None,
    version: str,
    labels: Iterable[tuple[str, str]],
    ports: Iterable[ServicePort],
    locality: str,
) -> Workload:
    # What is not given is made from the service's name, whose mistakes are told once.
    return Workload(
        id=name if is_label(name) else "instance",
        service=ServiceName(namespace, name),
        service_account=service_account if service_account is not None else "same",
        version=version,
        labels=tuple(labels),
        ports=tuple(ports),
        locality=locality,
    )


def _name_mistakes(name: str, workload: Workload) -> Iterator[str]:
    if is_label(name) and len(name) > _MAX_NAME:
        yield f"service name {name!r} is too long: use at most {_MAX_NAME} characters, as its instances' names are longer"
    yield from problems_of(Proxy("proxy", "127.0.0.1", 1, 2, (workload,)))
    yield from workload_problems(workload)
