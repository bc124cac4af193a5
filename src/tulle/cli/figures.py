"""How figures are asked for: options that several commands share, and the asking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from tulle.api.figure_views import StatsView
from tulle.cli.client import ControlPlane
from tulle.cli.durations import seconds
from tulle.cli.named import check, service_id

F = TypeVar("F", bound=Callable[..., Any])
SHORTEST, LONGEST = 5.0, 86400.0


def window(command: F) -> F:
    return window_of("60s")(command)


def window_of(default: str) -> Callable[[F], F]:
    return click.option(
        "--window",
        callback=lambda ctx, param, value: _window(value),
        metavar="DURATION",
        default=default,
        show_default=True,
        help="Over how long, such as 30s, 10m or 24h.",
    )


def _window(text: str) -> float:
    try:
        found = seconds(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if not SHORTEST <= found <= LONGEST:
        raise click.BadParameter(f"{text} is not between {SHORTEST:g}s and 24h")
    return found


def what(kinds: Sequence[str]) -> Callable[[F], F]:
    """The two arguments `[KIND] [SERVICE]`, of which either may be left out."""

    def chosen(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, str | None]:
        kind, names = (value[0], value[1:]) if value and value[0] in kinds else (kinds[0], value)
        if len(names) > 1:
            raise click.BadParameter(f"{names[0]!r} is none of {', '.join(kinds)}")
        return kind, names[0] if names else None

    return click.argument("what", metavar=f"[{'|'.join(kinds)}] [SERVICE]", nargs=-1, callback=chosen)


def asked(
    control_plane: ControlPlane, kind: str, window: float, namespace: str | None, service: str | None
) -> StatsView:
    """service: as people write it. Raises Failed if there is nothing of it, and no such service."""
    query = [("by", kind), ("window", repr(window))]
    if service:
        query.append(("service", service_id(service, namespace)))
    elif namespace:
        query.append(("namespace", namespace))
    found = control_plane.get("/v1/stats", StatsView, query)
    if service and not found.rows:
        check(control_plane, service_id(service, namespace))
    return found
