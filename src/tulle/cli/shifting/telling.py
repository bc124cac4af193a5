"""What `tulle shift --over` says while it goes on: a line each for people, or a line of JSON each."""

from __future__ import annotations

import time
from typing import Literal

import click
import msgspec
from msgspec import Struct

from tulle.cli.printing import printable
from tulle.cli.shifting.judging import Measured
from tulle.cli.shifting.weights import Weights, told

Event = Literal["step", "waiting", "judged", "unreachable", "back", "left", "done"]


class Said(Struct, frozen=True, omit_defaults=True):
    """One line. time: Unix seconds. step: which of how many. weights: that are in force then. new, old: of both versions.

    event: `step`, weights came into force; `waiting` for requests; `judged`, the step was good; `unreachable`, no control plane
    answers; `back`, the weights from before are in force again; `left`, the weights stay as they are; `done`.
    """

    time: float
    event: Event
    step: int = 0
    steps: int = 0
    weights: Weights = {}
    new: Measured | None = None
    old: Measured | None = None
    why: str = ""


class Teller:
    """new: the version that rises."""

    def __init__(self, new: str, steps: int, *, as_json: bool) -> None:
        self._new, self._steps, self._as_json = new, steps, as_json

    def say(
        self,
        event: Event,
        step: int = 0,
        weights: Weights | None = None,
        new: Measured | None = None,
        old: Measured | None = None,
        why: str = "",
    ) -> None:
        said = Said(time.time(), event, step, self._steps if step else 0, weights or {}, new, old, why)
        if self._as_json:
            click.echo(msgspec.json.encode(said).decode())
        else:
            click.echo(f"{time.strftime('%H:%M:%S', time.localtime(said.time))}  {self._line(said)}")

    def _line(self, said: Said) -> str:
        figures = f"{self._new}: {said.new.told()}" if said.new else ""
        if said.old:
            figures += f"; before: {said.old.told()}"
        why = printable(said.why)
        match said.event:
            case "step":
                return f"{said.step}/{self._steps}  {told(said.weights)}"
            case "waiting":
                return f"{said.step}/{self._steps}  waits: {why}"
            case "judged":
                return f"{said.step}/{self._steps}  good  {figures}" + (f"  ({why})" if why else "")
            case "unreachable":
                return f"waits for the control plane: {why}"
            case "back":
                return " ".join(filter(None, (click.style("went back", fg="red"), f"to {told(said.weights)}: {why}")))
            case "left":
                return f"{click.style('stopped', fg='red')}: {why}"
            case _:
                return f"{click.style('done', fg='green')}: {told(said.weights)}"
