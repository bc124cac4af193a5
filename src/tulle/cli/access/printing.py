"""Policies, rules and comparisons for people; colours are on a terminal alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import click

from tulle.api.access_views import ComparisonView, PlaceView, PolicyView, RuleView
from tulle.api.views import DecisionView
from tulle.cli.printing import ago, printable
from tulle.model.decisions import What

_DECIDED = {
    What.DENIED: "denied",
    What.WOULD_DENY: "would have denied",
    What.AUDITED: "noted",
    What.TOKEN_REFUSED: "refused for a bad token",
    What.PROVIDER_DENIED: "denied, as its provider says or can't be asked",
}
_CALLERS = 3


def verdict_word(allowed: bool) -> str:
    return click.style("allowed", fg="green", bold=True) if allowed else click.style("denied", fg="red", bold=True)


def where(place: PlaceView) -> str:
    """`policies.yaml:12`, or nothing for what was written in no file."""
    return printable(f"{place.file}:{place.line}") if place.file else ""


def placed(place: PlaceView) -> str:
    """`AuthorizationPolicy default/viewers spec.rules[0]  (policies.yaml:12)`."""
    at = where(place)
    return printable(" ".join(filter(None, (place.source, place.path)))) + (f"  ({at})" if at else "")


def policy_head(policy: PolicyView) -> str:
    words = [click.style(policy.action, bold=True), placed(policy.place)]
    if policy.provider:
        words.append(f"asks {printable(policy.provider)}")
    if policy.dry_run:
        words.append(click.style("dry run", fg="yellow"))
    return "  ".join(words)


def judged(rule: RuleView) -> Iterator[str]:
    """A rule, and below it what it compared."""
    at = f"  ({where(rule.place)})" if where(rule.place) else ""
    yield f"  {_met(rule.met, 'fits', 'does not fit')}  {printable(rule.place.path)}: {printable(rule.text)}{at}"
    if rule.unfit:
        yield f"    {printable(rule.unfit)}"
    for word, alternatives in (("from", rule.sources), ("to", rule.operations)):
        for number, alternative in enumerate(alternatives):
            yield from _compared(word if number == 0 else "or", alternative)
    yield from _compared("when", rule.when)


def told(rule: RuleView) -> str:
    """A rule in one line."""
    at = f"  ({where(rule.place)})" if where(rule.place) else ""
    return f"  {printable(rule.place.path)}: {printable(rule.text)}{at}"


def decided(decisions: Iterable[DecisionView]) -> Iterator[str]:
    """How often each was decided, when last, and against whom most often."""
    decisions = list(decisions)
    for what, words in _DECIDED.items():
        if found := [one for one in decisions if one.what is what]:
            by_caller: Counter[str] = Counter()
            for one in found:
                by_caller[one.caller or "somebody without a certificate"] += one.count
            most = [f"{caller} ({count})" for caller, count in by_caller.most_common(_CALLERS)]
            more = len(by_caller) - len(most)
            said = ", ".join([*most, *([f"{more} more"] if more else [])])
            last = ago(max(one.last for one in found))
            yield printable(f"{words}: {by_caller.total()}, the last {last} ago; {said}")


def _compared(word: str, comparisons: Sequence[ComparisonView]) -> Iterator[str]:
    for number, one in enumerate(comparisons):
        wanted = [f"wants {' or '.join(one.wanted)}"] if one.wanted else []
        unwanted = [f"not {' or '.join(one.unwanted)}"] if one.unwanted else []
        seen = "nothing" if one.seen is None else one.seen or "an empty text"
        said = f"{one.attribute} {', '.join((*wanted, *unwanted))}; seen: {seen}"
        yield f"    {(word if number == 0 else 'and').ljust(5)}{_met(one.met, 'met', 'not met')}  {printable(said)}"


def _met(met: bool, yes: str, no: str) -> str:
    width = max(len(yes), len(no))
    return click.style(yes.ljust(width), fg="green") if met else click.style(no.ljust(width), fg="red")
