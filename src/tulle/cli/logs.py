"""`tulle logs`: the last lines of the control plane and of the agents with their Envoys, and of which level they are."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click
import msgspec

from tulle.api.log_views import LogLineView, LogsView
from tulle.api.views import ProxyView
from tulle.cli import options
from tulle.cli.client import ControlPlane
from tulle.cli.durations import seconds
from tulle.cli.exits import Failed, Mistakes
from tulle.cli.printing import harmless, print_json, printable
from tulle.model.log_lines import LEVELS

OWN = "control-plane"
_POLL_SECONDS = 1.0


@click.command("logs")
@click.argument("words", nargs=-1, metavar="[control-plane|PROXY|SERVICE]")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--level", type=click.Choice(LEVELS), default=LEVELS[0], help="Only from this level on.")
@click.option("--since", metavar="DURATION", help="Only what is no older, as 10m.")
@options.namespace
@options.output
@options.data
def command(
    words: tuple[str, ...],
    follow: bool,
    level: str,
    since: str | None,
    namespace: str | None,
    output: str,
    data: Path,
) -> None:
    """Show what control plane and agents say, or how much of it.

    Of the control plane, or the agents of a service and their Envoys.

    Each keeps its last 1,000 lines. `tulle logs level` shows of which level the control plane's are, or a sidecar's; with
    one of debug, info, warning and error it sets that, until the process ends. A sidecar's level is its Envoy's too.

    \b
    Examples:
      tulle logs
      tulle logs service-b -f
      tulle logs service-b-3fa2c1 --level warning --since 10m
      tulle logs level debug
      tulle logs level service-b-3fa2c1 debug
    """
    control_plane = ControlPlane(data)
    if words[:1] == ("level",):
        _level(control_plane, words[1:], namespace, output)
        return
    if len(words) > 1:
        raise Mistakes([f"name one thing whose log to show, not {len(words)}"])
    start = time.time() - _seconds(since) if since else 0.0
    places = _places(control_plane, words[0] if words else OWN, namespace)
    for of, line in _lines(control_plane, places, level, start, follow=follow):
        _print(of if len(places) > 1 else "", line, output)


def _lines(
    control_plane: ControlPlane, places: list[str], level: str, since: float, *, follow: bool
) -> Iterator[tuple[str, LogLineView]]:
    """The oldest first. place: a proxy, or "" for the control plane."""
    after = dict.fromkeys(places, 0)
    while True:
        found: list[tuple[str, LogLineView]] = []
        for place in places:
            query = (("after", str(after[place])), ("level", level), ("since", f"{since:.3f}"))
            for line in control_plane.get(_path(place), LogsView, query).lines:
                after[place] = max(after[place], line.number)
                found.append((place, line))
        yield from sorted(found, key=lambda one: (one[1].time, one[0], one[1].number))
        if not follow:
            return
        time.sleep(_POLL_SECONDS)


def _level(control_plane: ControlPlane, words: tuple[str, ...], namespace: str | None, output: str) -> None:
    wanted = words[-1] if words and words[-1] in LEVELS else ""
    named = words[:-1] if wanted else words
    if len(named) > 1:
        raise Mistakes([f"there is no level {words[-1]!r}; use one of {', '.join(LEVELS)}"])
    views = []
    for place in _places(control_plane, named[0] if named else OWN, namespace):
        if wanted:
            views.append(control_plane.put(f"{_path(place)}/level", LogsView, json.dumps({"level": wanted}).encode()))
        else:
            views.append(control_plane.get(_path(place), LogsView, (("after", str(2**53)),)))
    if output == "json":
        print_json([{"of": view.proxy or OWN, "level": view.level} for view in views])
        return
    for view in views:
        click.echo(f"{view.proxy or OWN}: {view.level}")


def _places(control_plane: ControlPlane, name: str, namespace: str | None) -> list[str]:
    """Raises Failed if there is nothing of that name."""
    if name == OWN:
        return [""]
    found = [
        proxy.id
        for proxy in control_plane.get("/v1/proxies", list[ProxyView])
        if namespace in (None, proxy.namespace)
        and name
        in (proxy.id, proxy.service, f"{proxy.service}.{proxy.namespace}", f"{proxy.namespace}/{proxy.service}")
    ]
    if not found:
        raise Failed(f"there is no sidecar {name}, and no service of that name has one; `tulle proxies` lists them")
    return found


def _path(place: str) -> str:
    return f"/v1/proxies/{place}/logs" if place else "/v1/logs"


def _seconds(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise Mistakes([f"--since: {error}"]) from error


def _print(of: str, line: LogLineView, output: str) -> None:
    if output == "json":
        whose = {"of": of} if of else {}
        fields = {"time": line.time, "level": line.level, "logger": line.logger, "message": line.message}
        click.echo(msgspec.json.encode({**whose, **fields, **line.more}))
        return
    level = "" if line.level == "info" else f"{line.level}: "
    logger = f"{line.logger}: " if line.logger.startswith("envoy") else ""
    click.echo(printable(f"{_at(line.time)} {f'{of} ' if of else ''}{level}{logger}{line.message}"))
    if exception := line.more.get("exception"):
        click.echo(harmless(str(exception)))


def _at(time: str) -> str:
    try:
        return datetime.fromisoformat(time).astimezone().strftime("%H:%M:%S")
    except (ValueError, OverflowError):  # an agent may say anything
        return "--:--:--"
