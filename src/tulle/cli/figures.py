"""How figures are asked for: options that several commands share, and the asking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from tulle.api.figure_views import StatsView
from tulle.api.views import ServiceView
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


def what(kinds: Sequence[str]) -> Callable[[F], F]:
    """The two arguments `[KIND] [SERVICE]`, of which either may be left out."""

    def chosen(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, str | None]:
        kind, names = (value[0], value[1:]) if value and value[0] in kinds else (kinds[0], value)
        if len(names) > 1:
            raise click.BadParameter(f"{names[0]!r} is none of {', '.join(kinds)}")
        return kind, names[0] if names else None

    return click.argument("what", metavar=f"[{'|'.join(kinds)}] [SERVICE]", nargs=-1, callback=chosen)


def unknown(
    control_plane: ControlPlane, namespace: str | None, service: str | None, elsewhere: str = "default"
) -> list[str]:
    """A note, if there is no such service; each as in `asked`. elsewhere: the namespace if none is said, "" for any."""
    if not service:
        return []
    space, _, name = service.rpartition("/")
    space = space or namespace or elsewhere
    found = control_plane.get("/v1/services", list[ServiceView])
    if any(one.name == name and space in ("", one.namespace) for one in found):
        return []
    return [f"there is no service {service}; `tulle services` lists them"]


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
