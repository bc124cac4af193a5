"""What would happen to a call at one port of a workload, by which rule, and what each rule compared.

It reads the same values as translation; that both come to the same is tested against Envoy. CUSTOM policies ask somebody else,
and are told as such. Source: istio.io, Authorization Policy.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from tulle.ir.access import Access, Action, Condition, Policy, Rule
from tulle.resolve.access.calls import Call
from tulle.resolve.access.comparing import fits, seen


class Comparison(Struct, frozen=True):
    """One condition of a rule. seen: what the call shows of it, in words; None: nothing."""

    condition: Condition
    seen: str | None
    met: bool


class Alternative(Struct, frozen=True):
    """All of these must be met."""

    comparisons: tuple[Comparison, ...]

    @property
    def met(self) -> bool:
        return all(each.met for each in self.comparisons)


class Judged(Struct, frozen=True):
    """A rule, and what it compared. sources, operations: of each one alternative must be met, if there are any.

    unfit: why it can't be met at all, "" if it can.
    """

    place: str
    sources: tuple[Alternative, ...]
    operations: tuple[Alternative, ...]
    when: Alternative
    unfit: str = ""

    @property
    def met(self) -> bool:
        if self.unfit or not self.when.met:
            return False
        return all(not those or any(each.met for each in those) for those in (self.sources, self.operations))


class Tried(Struct, frozen=True):
    """A policy, and its rules."""

    policy: Policy
    rules: tuple[Judged, ...]

    @property
    def fitting(self) -> str | None:
        """The place of the first rule that is met."""
        return next((rule.place for rule in self.rules if rule.met), None)


class Verdict(Struct, frozen=True):
    """source, place: the document and the rule in it that decided, "" where that is the absence of one.

    custom: providers of CUSTOM policies that fit, which may still refuse. tried: all policies, in the order in which they count.
    would_deny: whether the dry runs, in force, would have denied it; the first of them that does, and its rule.
    """

    allowed: bool
    source: str
    place: str
    custom: tuple[str, ...]
    tried: tuple[Tried, ...]
    would_deny: tuple[str, str] | None = None


ORDER = (Action.CUSTOM, Action.DENY, Action.ALLOW, Action.AUDIT)


def evaluate(access: Access, call: Call) -> Verdict:
    ordered = sorted(access.policies, key=lambda policy: ORDER.index(policy.action))
    tried = tuple(
        Tried(policy, tuple(_judged(rule, policy, access, call) for rule in policy.rules)) for policy in ordered
    )
    enforced = [one for one in tried if not one.policy.dry_run]
    custom = tuple(
        one.policy.provider for one in enforced if one.policy.action is Action.CUSTOM and one.fitting is not None
    )
    allowed, source, place = _decided(enforced)
    would_allow, tried_source, tried_place = _decided(tried)
    would_deny = (tried_source, tried_place) if allowed and not would_allow else None
    return Verdict(allowed, source, place, custom, tried, would_deny)


def _decided(tried: Sequence[Tried]) -> tuple[bool, str, str]:
    for one in tried:
        if one.policy.action is Action.DENY and one.fitting is not None:
            return False, one.policy.source, one.fitting
    allowing = [one for one in tried if one.policy.action is Action.ALLOW]
    for one in allowing:
        if one.fitting is not None:
            return True, one.policy.source, one.fitting
    return not allowing, "", ""


def _judged(rule: Rule, policy: Policy, access: Access, call: Call) -> Judged:
    def alternative(conditions: Sequence[Condition]) -> Alternative:
        read = [each for each in conditions if not (access.tcp and each.attribute.is_http)]
        return Alternative(tuple(_compared(each, policy.action, access, call) for each in read))

    given = [*rule.sources, *rule.operations, rule.when]
    of_http = next((each.place for those in given for each in those if each.attribute.is_http), None)
    unfit = ""
    if access.tcp and policy.action is Action.ALLOW and of_http is not None:
        unfit = f"the port carries TCP, of which {of_http} can't be known"
    return Judged(
        rule.place,
        tuple(map(alternative, rule.sources)),
        tuple(map(alternative, rule.operations)),
        alternative(rule.when),
        unfit,
    )


def _compared(condition: Condition, action: Action, access: Access, call: Call) -> Comparison:
    allows = action is Action.ALLOW
    wanted = not condition.values or any(
        fits(condition, value, access, call, anywhere=not allows) for value in condition.values
    )
    unwanted = any(fits(condition, value, access, call, anywhere=allows) for value in condition.but_not)
    return Comparison(condition, seen(condition, access, call), wanted and not unwanted)
