"""`tulle shift --over`: step by step, as long as the new version does well; else back to the weights from before.

What others do meanwhile counts: once somebody has changed the VirtualService, it is theirs, and nothing is written over it.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from msgspec import Struct

from tulle.api.figure_views import StatsView
from tulle.api.views import DeclaredView
from tulle.cli import figures
from tulle.cli.client import ControlPlane, Refused
from tulle.cli.exits import FAILED, Failed, Unreachable
from tulle.cli.resources import sending
from tulle.cli.resources.reading import selected
from tulle.cli.resources.waiting import in_force
from tulle.cli.shifting.documents import KINDS, plain, route_of, rule_of, sent, stored_route
from tulle.cli.shifting.judging import Limits, Measured, Next, baseline, judged, measured
from tulle.cli.shifting.telling import Teller
from tulle.cli.shifting.weights import Weights
from tulle.model.names import ServiceName

T = TypeVar("T")

_LOOK_EVERY = 1.0
_LATE = 4.0  # so many seconds may pass until a call is in the figures
SHORTEST_STEP = 10.0
_TRY_AGAIN_AFTER, _PATIENCE = 1.0, 300.0
_RACES = 2


class Plan(Struct, frozen=True):
    """version: of the new instances' label. seconds: how long a step lasts. within: how long it may take to come into force."""

    service: ServiceName
    version: str
    before: Weights
    steps: list[Weights]
    seconds: float
    limits: Limits
    within: float


class _Bad(Exception):
    """The new version does not do well. Its text says why."""


class _Changed(Exception):
    """Somebody else has changed the VirtualService."""


class _Raced(_Changed):
    """Something was written between a look at it and what was to be written."""


class Gradual:
    def __init__(self, control_plane: ControlPlane, plan: Plan, old: DeclaredView, teller: Teller) -> None:
        """old: the VirtualService as it is before."""
        self._control_plane, self._plan, self._teller = control_plane, plan, teller
        self._old = old
        self._known = _state(old)
        self._sent: Any = None  # the spec that may or may not have been taken
        self._weights = plan.before

    def run(self) -> int:
        """The exit code."""
        try:
            with _interrupted_by_sigterm():
                self._go()
        except _Changed as changed:
            return self._left(str(changed))
        except KeyboardInterrupt:
            return self._back("interrupted")
        except Unreachable as error:
            self._left(str(error))
            return error.exit_code
        except (_Bad, Failed) as error:
            return self._back(str(error))
        self._teller.say("done", weights=self._weights)
        return 0

    def _go(self) -> None:
        before: Measured | None = None
        for number, weights in enumerate(self._plan.steps, 1):
            self._patiently(partial(self._set, weights))
            self._weights = weights
            self._teller.say("step", number, weights)
            before = self._watch(number, before)

    def _watch(self, number: int, before: Measured | None) -> Measured | None:
        """Returns what the next step is held to. Raises _Bad, _Changed."""
        plan, started, is_told = self._plan, time.monotonic(), False
        while True:
            time.sleep(_LOOK_EVERY)
            self._patiently(self._check_unchanged)
            passed = time.monotonic() - started
            new, old = self._patiently(partial(self._measured, passed))
            base = baseline(old, before, plan.limits)
            verdict = judged(new, base, plan.limits, passed, plan.seconds)
            if verdict.next is Next.GO_BACK:
                raise _Bad(f"{plan.version}: {verdict.why} ({new.told()}; before: {(base or old).told()})")
            if verdict.next is Next.GO_ON:
                self._teller.say("judged", number, new=new, old=base, why=verdict.why)
                return base
            if verdict.why and not is_told:
                is_told = True
                self._teller.say("waiting", number, why=verdict.why)

    def _measured(self, passed: float) -> tuple[Measured, Measured]:
        name = f"{self._plan.service.namespace}/{self._plan.service.name}"
        window = min(passed - _LATE, figures.LONGEST)
        if window < figures.SHORTEST:
            return Measured(), Measured()
        query = [("by", "workload"), ("window", repr(window)), ("service", name)]
        return measured(self._control_plane.get("/v1/stats", StatsView, query).rows, self._plan.version)

    def _set(self, weights: Weights) -> None:
        """Returns when they are in force. Raises Failed, _Changed."""
        stored = selected(self._control_plane, list(KINDS), None)
        current = self._own(stored)
        rule, old_rule = rule_of(self._plan.service, list(weights), stored)
        route, _ = route_of(self._plan.service, weights, stored)
        documents = [(route, current.revision)]
        if old_rule is None or rule != plain(old_rule):
            documents.insert(0, (rule, old_rule.revision if old_rule else 0))
        self._send(documents)

    def _send(self, documents: list[tuple[dict[str, Any], int]]) -> None:
        self._sent = documents[-1][0]["spec"]
        revisions = [revision for _, revision in documents]
        read = [sent(document) for document, _ in documents]
        within = self._plan.within
        try:
            with sending.apply_and_follow(
                self._control_plane, read, self._plan.service.namespace, within, revisions=revisions
            ) as (_, progress):
                in_force(progress, within)
        except Refused as refused:
            if refused.status == 409:
                raise _Raced(f"somebody else changes the rules of {self._plan.service}: {refused}") from refused
            raise
        self._check_unchanged()

    def _check_unchanged(self) -> None:
        """Raises _Changed."""
        self._own(selected(self._control_plane, [self._old.kind], None))

    def _own(self, stored: list[DeclaredView]) -> DeclaredView:
        """The VirtualService as it is stored. Raises _Changed if somebody else has changed what it says."""
        name = f"VirtualService {self._old.namespace}/{self._old.name}"
        found = stored_route(self._plan.service, stored)
        if found is None:
            raise _Changed(f"{name} was deleted meanwhile")
        created, generation = self._known
        if _state(found) == (created, generation + 1) and found.spec == self._sent:
            self._known, self._sent = _state(found), None
        if _state(found) != self._known or (found.namespace, found.name) != (self._old.namespace, self._old.name):
            raise _Changed(f"{name} was changed by somebody else meanwhile: it is left as it is now")
        return found

    def _back(self, why: str) -> int:
        """A second Ctrl-C ends it at once."""
        try:
            with _interrupted_by_sigterm():
                self._patiently(self._set_back)
        except _Changed as changed:
            return self._left(f"{why}; {changed}")
        except KeyboardInterrupt:
            return self._left(f"{why}; and interrupted again: see `tulle get vs {self._old.name} -o yaml`")
        except Failed as error:
            if not self._is_back():
                self._left(f"{why}; and no way back: {error}")
                return error.exit_code
            why = f"{why}; not yet in force everywhere: {error}"
        except Unreachable as error:
            self._left(f"{why}; and no way back: {error}")
            return error.exit_code
        self._teller.say("back", weights=self._plan.before, why=why)
        return FAILED

    def _set_back(self) -> None:
        current = self._own(selected(self._control_plane, [self._old.kind], None))
        if current.spec != self._old.spec:
            self._send([({**plain(current), "spec": plain(self._old)["spec"]}, current.revision)])

    def _is_back(self) -> bool:
        try:
            return bool(self._own(selected(self._control_plane, [self._old.kind], None)).spec == self._old.spec)
        except (_Changed, Failed, Unreachable):
            return False

    def _left(self, why: str) -> int:
        self._teller.say("left", weights=self._weights, why=why)
        return FAILED

    def _patiently(self, do: Callable[[], T]) -> T:
        """Also over a restart of the control plane. Raises Unreachable after some minutes."""
        until = time.monotonic() + _PATIENCE
        is_told, races = False, 0
        while True:
            try:
                return do()
            except _Raced:
                if (races := races + 1) > _RACES:
                    raise
            except Unreachable as error:
                if time.monotonic() > until:
                    raise
                if not is_told:
                    is_told = True
                    self._teller.say("unreachable", why=error.message)
            time.sleep(_TRY_AGAIN_AFTER)


def _state(resource: DeclaredView) -> tuple[float, int]:
    """Is another one as soon as somebody changes what it says; labels and annotations aside."""
    return resource.created, resource.generation


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
