"""`tulle shift SERVICE v1=90 v2=10`: how a service's calls are divided among its versions, at once or step by step."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from click.core import ParameterSource

from tulle.api.views import DeclaredView, ServiceView
from tulle.cli import options
from tulle.cli.apply import print_outcomes, send
from tulle.cli.client import ControlPlane
from tulle.cli.durations import seconds
from tulle.cli.exits import Failed, Mistakes
from tulle.cli.resources.reading import selected
from tulle.cli.shifting import documents
from tulle.cli.shifting.gradual import SHORTEST_STEP, Gradual, Plan
from tulle.cli.shifting.judging import Limits
from tulle.cli.shifting.telling import Teller
from tulle.cli.shifting.weights import Weights, raised, read, risen, steps, told
from tulle.model.names import DEFAULT_NAMESPACE, ServiceName, destination_of

_ONLY_GRADUAL = {
    "step": "--step",
    "max_errors": "--max-errors",
    "max_latency": "--max-latency",
    "min_requests": "--min-requests",
    "no_traffic": "--no-traffic",
}
_LONGEST = 86400.0


def _duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    try:
        found = seconds(value) if value is not None else None
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error
    if found is not None and not SHORTEST_STEP <= found <= _LONGEST:
        raise click.BadParameter(f"{value} is not between {SHORTEST_STEP:g}s and 24h", ctx, param)
    return found


def _percent(ctx: click.Context, param: click.Parameter, value: str) -> float:
    return _number(ctx, param, value, "%", 0.0, 100.0) / 100


def _factor(ctx: click.Context, param: click.Parameter, value: str) -> float:
    return _number(ctx, param, value, "x", 1.0, 1000.0)


def _number(ctx: click.Context, param: click.Parameter, value: str, unit: str, least: float, most: float) -> float:
    try:
        found = float(value.removesuffix(unit))
    except ValueError:
        found = float("nan")
    if not least <= found <= most:
        raise click.BadParameter(f"{value!r} is not between {least:g}{unit} and {most:g}{unit}", ctx, param)
    return found


@click.command("shift")
@click.argument("service")
@click.argument("weights", nargs=-1, metavar="[VERSION=WEIGHT]...")
@click.option(
    "--to", metavar="VERSION=WEIGHT", help="Give one version that share; the others keep theirs in proportion."
)
@click.option("--over", metavar="DURATION", callback=_duration, help="Step by step in that time, such as 10m.")
@click.option(
    "--step", type=click.IntRange(1, 100), default=10, show_default=True, help="By how many percent at a time."
)
@click.option(
    "--max-errors",
    metavar="PERCENT",
    callback=_percent,
    default="1%",
    show_default=True,
    help="Go back if so much more of the new version's requests fail than of the old one's.",
)
@click.option(
    "--max-latency",
    metavar="FACTOR",
    callback=_factor,
    default="1.5x",
    show_default=True,
    help="Go back if its p95 is more than so many times the old one's.",
)
@click.option(
    "--min-requests",
    type=click.IntRange(1, 1_000_000),
    default=20,
    show_default=True,
    help="Judge it by no fewer in a step.",
)
@click.option(
    "--no-traffic",
    type=click.Choice(["stop", "go-on"]),
    default="stop",
    show_default=True,
    help="With fewer: wait, then go back; or go on.",
)
@options.in_namespace
@click.option("--force", is_flag=True, help="Also for a service or version that nobody runs yet.")
@options.dry_run
@options.wait
@click.option("-o", "--output", type=click.Choice(["json"]), help="What to print.  [default: a line each]")
@options.data
@click.pass_context
def command(
    ctx: click.Context,
    service: str,
    weights: tuple[str, ...],
    to: str | None,
    over: float | None,
    step: int,
    max_errors: float,
    max_latency: float,
    min_requests: int,
    no_traffic: str,
    namespace: str | None,
    force: bool,
    dry_run: bool,
    wait: bool,
    timeout: float,
    output: str | None,
    data: Path,
) -> None:
    """Divide a service's calls among its versions.

    A VERSION is what tulle run --version says. The weights are percent, together 100; a version that is not named
    gets nothing. The default route of the service's VirtualService is rewritten, and its other routes are left alone.
    Where there is none it is made, as is the DestinationRule with the versions as subsets. A service
    that nobody has run is refused, and so are more calls for a version of which no instance runs.

    With --over one version's share grows step by step. Each step waits until it is in force, and compares the version's errors
    and latency with the others'. If these rise, or at Ctrl-C, the weights from before come back, and the exit code is 1.

    \b
    Examples:
      tulle shift service-b v1=90 v2=10
      tulle shift service-b.shop v2=100 --dry-run
      tulle shift service-b --to v2=100 --over 10m --step 10
    """
    wanted = _wanted(weights, to)
    name = _service(service, namespace)
    if over is None and (useless := _given(ctx)):
        raise Mistakes([f"{one} needs --over" for one in useless])
    control_plane = ControlPlane(data)
    services = control_plane.get("/v1/services", list[ServiceView])
    stored = selected(control_plane, documents.KINDS, None)
    if not force:
        documents.check_known(name, services, stored)
    if to is not None or over is not None:
        old = documents.stored_route(name, stored)
        now = documents.weights_in(name, old) if old else {}
        if old is None or "" in now:
            raise Failed(
                f"nothing divides the calls of {name}, so that all its versions get them: first give them to the version "
                f"that has to have them, tulle shift {service} VERSION=100"
            )
        wanted = _raised(now, wanted) if to is not None else wanted
        if over is not None:
            limits = Limits(max_errors, max_latency, min_requests, no_traffic == "go-on")
            plan = _plan(name, now, wanted, step, over, limits, timeout, services, stored)
            if dry_run:
                _print_plan(plan)
            else:
                teller = Teller(plan.version, len(plan.steps), as_json=output == "json")
                sys.exit(Gradual(control_plane, plan, old, teller).run())
            wanted = plan.steps[0]
    rule, _ = documents.rule_of(name, list(wanted), stored)
    if problem := documents.unserved(services, name, wanted, stored, rule):
        if not force:
            raise Failed(f"{problem} (--force gives it calls all the same)")
        click.echo(f"warning: {problem}", err=True)
    _shift(control_plane, name, wanted, stored, output, timeout if wait else None, dry_run=dry_run)


def _shift(
    control_plane: ControlPlane,
    name: ServiceName,
    wanted: Weights,
    stored: list[DeclaredView],
    output: str | None,
    within: float | None,
    *,
    dry_run: bool,
) -> None:
    """At once. within: for how many seconds to wait until that is in force; None: not at all."""
    rule, old_rule = documents.rule_of(name, list(wanted), stored)
    route, old_route = documents.route_of(name, wanted, stored)
    pairs = ((rule, old_rule), (route, old_route))
    changed = [(new, old) for new, old in pairs if old is None or new != documents.plain(old)]
    if dry_run and not output:
        for new, old in changed:
            documents.print_difference(new, old)
    if changed:
        revisions = [old.revision if old else 0 for _, old in changed]
        sent = [documents.sent(new) for new, _ in changed]
        send(control_plane, sent, name.namespace, output, dry_run=dry_run, seconds=within, revisions=revisions)
    elif output:
        print_outcomes([], output, dry_run=dry_run)
    else:
        click.echo(f"{name} is divided like that already")


def _plan(
    name: ServiceName,
    now: Weights,
    wanted: Weights,
    step: int,
    over: float,
    limits: Limits,
    within: float,
    services: list[ServiceView],
    stored: list[DeclaredView],
) -> Plan:
    """Raises Failed, Mistakes."""
    try:
        version = risen(now, wanted)
        each = steps(now, wanted, step)
    except ValueError as error:
        raise Failed(f"{name}: {error} ({told(now)})") from error
    if over / len(each) < SHORTEST_STEP:
        raise Mistakes(
            [
                f"--over {over:g}s are {over / len(each):.1f} s for each of {len(each)} steps, and a step takes "
                f"{SHORTEST_STEP:g} s at least: take more time, or a larger --step"
            ]
        )
    rule, _ = documents.rule_of(name, list(wanted), stored)
    label = documents.told_apart(version, rule)
    if not documents.healthy(services, name, label):
        raise Failed(f"no healthy instance of {name} has the version {label}: start one before it gets calls")
    return Plan(name, label, now, each, over / len(each), limits, within)


def _print_plan(plan: Plan) -> None:
    for number, weights in enumerate(plan.steps, 1):
        click.echo(f"step {number} of {len(plan.steps)}, {plan.seconds:g} s: {told(weights)}", err=True)
    click.echo("the first step:", err=True)


def _given(ctx: click.Context) -> list[str]:
    return [
        option
        for name, option in _ONLY_GRADUAL.items()
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]


def _wanted(texts: tuple[str, ...], to: str | None) -> Weights:
    """As they are written. Raises Mistakes."""
    if bool(texts) == (to is not None):
        raise Mistakes(["say VERSION=WEIGHT for each version, or --to for one"])
    found, mistakes = read(texts if to is None else (to,))
    if not mistakes and to is not None and found[to.rpartition("=")[0]] > 100:
        mistakes.append(f"--to {to}: it can't be more than 100")
    if not mistakes and to is None and sum(found.values()) != 100:
        mistakes.append(f"the weights are {sum(found.values())} together: they must be 100")
    if mistakes:
        raise Mistakes(mistakes)
    return found


def _raised(now: Weights, wanted: Weights) -> Weights:
    """Raises Failed."""
    ((version, share),) = wanted.items()
    try:
        return raised(now, version, share)
    except ValueError as error:
        raise Failed(str(error)) from error


def _service(text: str, namespace: str | None) -> ServiceName:
    """Raises Mistakes."""
    meant = destination_of(text, namespace or DEFAULT_NAMESPACE)
    if meant is None or ":" in text:
        raise Mistakes([f"{text!r} is no service: write NAME or NAME.NAMESPACE"])
    if namespace and meant.service.namespace != namespace:
        raise Mistakes([f"{text} is of the namespace {meant.service.namespace}, and --namespace says {namespace}"])
    return meant.service
