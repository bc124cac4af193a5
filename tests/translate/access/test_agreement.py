"""`tulle authz check` and Envoy come to the same: made-up policies and requests, each judged by both.

A failure prints the seed, by which `case`, `connections` and `requests` of `made_up` make the same again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from msgspec import Struct

from judges import Bench, Judge, Ruling, bench, issuer, token
from made_up import ALIASES, Case, case, connections, requests
from tulle.ir import access as ir
from tulle.ir.access import Action, Attribute
from tulle.model.spiffe import WORKLOAD_PREFIX, workload_prefix
from tulle.resolve.access.calls import Connection, Written, call, of_bytes
from tulle.resolve.access.evaluation import Verdict, evaluate
from tulle.resolve.access.paths import normalised

CASES, REQUESTS = 160, 15
TCP_CASES = 30
TRUSTED = (WORKLOAD_PREFIX, *map(workload_prefix, ALIASES))
ISSUERS = (issuer(),)


class Difference(Struct, frozen=True):
    seed: int
    policies: tuple[str, ...]
    connection: Connection
    request: Written | None
    envoy: object
    evaluated: object


def test_explanation_and_envoy_agree(tmp_path: Path) -> None:
    of_http = [case(seed) for seed in range(CASES)]
    of_tcp = [case(seed, tcp=True) for seed in range(TCP_CASES)]
    judges = [Judge(one.access, one.paths) for one in (*of_http, *of_tcp)]
    with bench(tmp_path, judges, TRUSTED) as there:
        answers = [answer for n, one in enumerate(of_http) for answer in http_answers(there, n, one)]
        answers += [answer for n, one in enumerate(of_tcp, CASES) for answer in tcp_answers(there, n, one)]
    assert len(answers) >= 2000
    different = [one for one in answers if one.envoy != one.evaluated]
    assert not different, f"{len(different)} differ:\n" + "\n".join(map(str, different[:8]))


def test_everything_is_reached() -> None:
    """Each way to compare each attribute is among what is made up, with values that are wanted, and met, and that are not."""
    outcomes: set[tuple[Attribute, ir.Test, bool, bool]] = set()
    verdicts: Counter[str] = Counter()
    for one in map(case, range(CASES)):
        calling = connections(one.seed)
        for number, request in enumerate(requests(one.seed, REQUESTS)):
            made = call(calling[number % len(calling)], request, one.paths, ISSUERS)
            if made is None:
                verdicts["refused"] += 1
                continue
            verdict = evaluate(one.access, made)
            verdicts["allowed" if verdict.allowed else "denied"] += 1
            verdicts["dry runs deny"] += verdict.would_deny is not None
            outcomes |= set(_compared_values(verdict))
    assert all(verdicts[each] > 100 for each in ("refused", "allowed", "denied", "dry runs deny")), verdicts
    assert {attribute for attribute, *_ in outcomes} == set(Attribute) and {test for _, test, *_ in outcomes} == set(
        ir.Test
    )
    ways = {(attribute, is_met, wanted) for attribute, _, is_met, wanted in outcomes}
    missing = {*product(Attribute, (True, False), (True, False))} - ways
    assert not missing, sorted(missing)


def _compared_values(verdict: Verdict) -> Iterator[tuple[Attribute, ir.Test, bool, bool]]:
    """Attribute, test, whether the condition was met, and whether the value was wanted."""
    for tried in verdict.tried:
        for rule in tried.rules:
            for alternative in (*rule.sources, *rule.operations, rule.when):
                for each in alternative.comparisons:
                    for wanted, values in ((True, each.condition.values), (False, each.condition.but_not)):
                        yield from ((each.condition.attribute, value.test, each.met, wanted) for value in values)


def http_answers(there: Bench, number: int, one: Case) -> list[Difference]:
    asked, found = requests(one.seed, REQUESTS), []
    calling = connections(one.seed)
    for which, connection in enumerate(calling):
        mine = asked[which :: len(calling)]
        rulings = there.ask(number, connection.principal, connection.source_ip, [raw(each) for each in mine])
        for request, ruling in zip(mine, rulings, strict=True):
            made = call(connection, request, one.paths, ISSUERS)
            verdict = evaluate(one.access, made) if made else None
            envoy, evaluated = compared(ruling, verdict, normalised(request.path, one.paths))
            found.append(Difference(one.seed, one.written, connection, request, envoy, evaluated))
    return found


def compared(ruling: Ruling, verdict: Verdict | None, path: str | None) -> tuple[object, object]:
    """What both say, as values that are equal if they agree."""
    if verdict is None:
        return ruling.status, 400
    if verdict.allowed:
        would_deny = verdict.would_deny is not None
        return (ruling.status, ruling.path, ruling.dry_runs_deny), (200, path, would_deny)
    fitting = {
        f"rbac_access_denied_matched_policy[{tried.policy.source}_{rule.place}]".replace(" ", "_")
        for tried in verdict.tried
        for rule in tried.rules
        if rule.met and tried.policy.action is Action.DENY and not tried.policy.dry_run
    } or {"rbac_access_denied_matched_policy[none]"}
    return (ruling.status, ruling.why if ruling.why not in fitting else "fits"), (403, "fits")


def tcp_answers(there: Bench, number: int, one: Case) -> list[Difference]:
    return [
        Difference(
            one.seed,
            one.written,
            connection,
            None,
            there.carries(number, connection.principal, connection.source_ip),
            evaluate(one.access, of_bytes(connection)).allowed,
        )
        for connection in connections(one.seed)
    ]


def raw(request: Written) -> bytes:
    """As bytes of HTTP/1.1; headers are not always UTF-8."""
    lines = [f"{request.method} {request.path} HTTP/1.1", f"host: {request.host}", "content-length: 0"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    if request.claims is not None:
        lines.append(f"authorization: Bearer {token(request.claims)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
