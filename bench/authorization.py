"""Access rules: CPU of the serving sidecar per request with 0 to 1,000 rules, beside the same Envoy without RBAC.

Rounds in changing order, as in bench/dataplane. Each number of rules is a serving sidecar of its own; all have the same caller
and the same program. The one without RBAC is there twice: what its two rows differ by is noise.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

from bench import envoys, guarded
from bench.figure import Figure
from bench.load import wrk
from bench.meshes import call
from bench.processes import cpu_seconds, free_port, wait_for
from tulle.ir.access import Action, Policy
from tulle.ir.tokens import Issuer

_CONNECTIONS = 16


@dataclass
class Case:
    """One serving sidecar. decides: whether it has the filters that decide about access.

    cpu: of its Envoy per request, p50: of a call over one connection; microseconds, a value a round.
    """

    name: str
    what: str
    rules: tuple[Policy, ...] = ()
    issuers: tuple[Issuer, ...] = ()
    decides: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    reach: float | None = None
    pid: int = 0
    cpu: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)


def run(quick: bool) -> list[Figure]:
    rounds, seconds = (2, 1) if quick else (20, 1)
    cases = _cases()
    with tempfile.TemporaryDirectory(prefix="tulle-bench-") as folder, ExitStack() as stack:
        port = _started(Path(folder), stack, cases)
        for number in range(rounds):
            for case in random.Random(number).sample(cases, len(cases)):
                _measure(port, case, seconds)
            print(f"authorization: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    return list(_figures(cases, f"{rounds} interleaved rounds of {seconds} s"))


def _cases() -> list[Case]:
    issuer, token = guarded.issuer()
    allow, deny = (partial(guarded.policies, action=action) for action in (Action.ALLOW, Action.DENY))
    return [
        Case("without", "without RBAC", decides=False),
        Case("without_again", "without RBAC, again", decides=False),
        Case("none", "no rule: two empty filters, and the log of denials", reach=1.1),
        Case("ten", "10 rules that allow, the last fits", allow(10), reach=1.25),
        Case("hundred", "100 rules that allow, the last fits", allow(100)),
        Case("thousand", "1,000 rules that allow, the last fits", allow(1000)),
        Case("deny", "1,000 rules that deny, none fits", deny(1000)),
        Case(
            "token",
            "no rule, and a token that is checked (ES256)",
            issuers=(issuer,),
            headers={"Authorization": f"Bearer {token}"},
        ),
    ]


def _started(folder: Path, stack: ExitStack, cases: list[Case]) -> int:
    """Starts everything. The port by which a case is called, as the host of its name."""
    target, port = free_port(), free_port()
    caller, server = (envoys.credentials(folder / "ca", account) for account in (guarded.CALLER, "service-b"))
    guarded.write_identity(folder, server)
    stack.enter_context(envoys.envoy(folder, "program", envoys.program(target)))
    clusters = []
    for case in cases:
        inbound = free_port()
        listener, programs = guarded.sidecar(inbound, target, case.rules, case.issuers, decides=case.decides)
        serving = envoys.envoy(folder, case.name, listener, *programs, settings=guarded.settings())
        case.pid = stack.enter_context(serving)
        clusters.append(envoys.to_sidecar(case.name, inbound, caller, guarded.sni()))
    calling = envoys.calling_several(port, [case.name for case in cases])
    stack.enter_context(envoys.envoy(folder, "calling", calling, *clusters))
    for case in cases:
        wait_for(f"{case.name} is reached", partial(_reached, port, case))
        wrk(port, 1, _CONNECTIONS, case.name, case.headers)
    return port


def _reached(port: int, case: Case) -> bool:
    return call(port, case.name) == 200


def _measure(port: int, case: Case, seconds: int) -> None:
    before = cpu_seconds(case.pid)
    load = wrk(port, seconds, _CONNECTIONS, case.name, case.headers)
    case.cpu.append((cpu_seconds(case.pid) - before) / load.requests * 1e6)
    case.p50.append(wrk(port, seconds, 1, case.name, case.headers).p50)


def _figures(cases: list[Case], note: str) -> Iterator[Figure]:
    one, again, *more = cases
    plain = [*one.cpu, *again.cpu]
    noise = f"{median(again.cpu) / median(one.cpu):.2f}× between two without RBAC"
    for case in more:
        yield Figure(
            f"cpu_ratio_{case.name}",
            f"CPU per request of the serving sidecar over one without RBAC: {case.what}",
            median(case.cpu) / median(plain),
            "×",
            reach=case.reach,
            note=f"{noise}; {note}, {_CONNECTIONS} connections, medians; load average {os.getloadavg()[0]:.1f}",
        )
    for case in cases:
        what = f"CPU per request of the serving sidecar, {case.what}"
        spread = f"{min(case.cpu):.0f} to {max(case.cpu):.0f}; a call over one connection: {median(case.p50):.0f} µs"
        yield Figure(f"cpu_{case.name}", what, median(case.cpu), "µs", note=spread)
