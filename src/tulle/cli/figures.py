"""How figures are asked for: options that several commands share, and the asking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from tulle.api.figure_views import StatsView
from tulle.cli.client import ControlPlane
from tulle.cli.durations import seconds

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


def asked(
    control_plane: ControlPlane, kind: str, window: float, namespace: str | None, service: str | None
) -> StatsView:
    """service: `name`, in that namespace or else `default`, or `namespace/name`."""
    query = [("by", kind), ("window", repr(window))]
    if service:
        query.append(("service", service if "/" in service else f"{namespace or 'default'}/{service}"))
    elif namespace:
        query.append(("namespace", namespace))
    return control_plane.get("/v1/stats", StatsView, query)
