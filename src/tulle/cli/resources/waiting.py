"""`--wait`: until every sidecar that needs a change has acknowledged it. Progress is shown on a terminal alone."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click

from tulle.api.views import ProgressView
from tulle.cli.exits import Failed
from tulle.cli.printing import reason_in


def wait_for(steps: Iterable[ProgressView], seconds: float) -> None:
    """Returns when all have it, and says so. Raises Failed if one refuses it, or time is up: with who that is."""
    needed = in_force(steps, seconds)
    click.echo(
        f"in force on {needed} prox{'ies' if needed != 1 else 'y'}" if needed else "no proxy needs it yet", err=True
    )


def in_force(steps: Iterable[ProgressView], seconds: float) -> int:
    """The same, and says nothing: how many proxies have it."""
    last: ProgressView | None = None
    shown = sys.stderr.isatty()
    for step in steps:
        last = step
        if shown:
            click.echo(f"\r\x1b[Kin force on {step.acknowledged} of {step.needed} proxies", err=True, nl=False)
    if shown and last is not None:
        click.echo("\r\x1b[K", err=True, nl=False)
    if last is None or not last.is_over:
        raise Failed("the control plane stopped before all proxies had answered; what was applied stays applied")
    _judge(last, seconds)
    return last.needed


def _judge(last: ProgressView, seconds: float) -> None:
    """Raises Failed."""
    if last.rejected:
        each = "\n".join(f"  {one.proxy}: {reason_in(one.reason)}" for one in last.rejected)
        raise Failed(
            f"rejected by {len(last.rejected)} of {last.needed} proxies, which keep what they had:\n{each}\n"
            "`tulle describe` shows all that they say"
        )
    if not last.taken_up:
        raise Failed(f"the control plane itself has not taken it up within {seconds:g} s")
    if last.missing:
        left = last.needed - last.acknowledged
        more = f" and {left - len(last.missing)} more" if left > len(last.missing) else ""
        raise Failed(
            f"in force on {last.acknowledged} of {last.needed} proxies after {seconds:g} s; "
            f"not on {', '.join(last.missing)}{more}"
        )
