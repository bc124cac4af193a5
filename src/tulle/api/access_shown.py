"""Access rules and what they come to, as they are shown: with the documents and lines where they were written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tulle.api.access_views import AnswerView, ComparisonView, GuardView, PlaceView, PolicyView, RuleView
from tulle.api.decisions import Heard, summed
from tulle.ir.access import Action, Policy, Rule
from tulle.model.resources.resource import Ref, Resource
from tulle.resolve.access.asking import Answer
from tulle.resolve.access.doors import Door
from tulle.resolve.access.evaluation import ORDER, Alternative, Judged, Tried, Verdict
from tulle.resolve.access.words import named, rule_in_words, value_in_words
from tulle.resolve.analysis.findings import line_of

NO_ALLOW = "no ALLOW policy fits, and there are some"


class Shown:
    """resources: those of the mesh, of which the rules were made. heard: what has been decided, by proxy."""

    def __init__(self, resources: Mapping[Ref, Resource], heard: Mapping[str, Heard] = {}) -> None:
        self._heard = heard
        self._by_source = {str(ref): resource for ref, resource in resources.items()}

    def answer(self, door: Door, answer: Answer, pending: list[str]) -> AnswerView:
        verdict = answer.verdict
        would = verdict.would_deny if verdict else None
        return AnswerView(
            proxies=list(door.proxies),
            allowed=answer.allowed,
            reason=answer.refused or (self._reason(verdict) if verdict else ""),
            status=0 if answer.allowed or door.port.access.tcp else answer.status or (403 if verdict else 0),
            mutual_tls=door.port.mutual_tls.value.upper(),
            by=self.place(verdict.source, verdict.place) if verdict and verdict.source else None,
            asks=list(verdict.custom) if verdict else [],
            would_deny=self.place(would[0] or NO_ALLOW, would[1]) if would else None,
            notes=list(answer.notes),
            policies=[self._tried(each) for each in verdict.tried] if verdict else [],
            pending=pending,
        )

    def guard(self, door: Door, pending: list[str]) -> GuardView:
        policies = sorted(door.port.access.policies, key=lambda one: ORDER.index(one.action))
        heard = [self._heard[proxy] for proxy in door.proxies if proxy in self._heard]
        return GuardView(
            proxies=list(door.proxies),
            port=door.port.destination.port,
            protocol=door.port.protocol.value,
            mutual_tls=door.port.mutual_tls.value.upper(),
            peer_authentications=[
                self.place(source) for source in door.inbound.sources if source.startswith("PeerAuthentication ")
            ],
            policies=[
                self._policy(policy, [self._rule(policy.source, rule) for rule in policy.rules]) for policy in policies
            ],
            otherwise=_otherwise(policies),
            issuers=[issuer.issuer for issuer in door.inbound.issuers],
            pending=pending,
            decisions=summed(heard),
            others=sum(one.decisions.other for one in heard),
            lost=sum(one.decisions.lost for one in heard),
        )

    def place(self, source: str, path: str = "") -> PlaceView:
        resource = self._by_source.get(source)
        if resource is None:
            return PlaceView(source, path)
        return PlaceView(source, path, resource.origin.file, line_of(resource, path))

    def _reason(self, verdict: Verdict) -> str:
        if verdict.source:
            return f"{verdict.source} {verdict.place}"
        return "no policy denies it, and there is no ALLOW policy" if verdict.allowed else NO_ALLOW

    def _tried(self, tried: Tried) -> PolicyView:
        source = tried.policy.source
        rules = [self._judged(source, *pair) for pair in zip(tried.policy.rules, tried.rules, strict=True)]
        return self._policy(tried.policy, rules)

    def _policy(self, policy: Policy, rules: list[RuleView]) -> PolicyView:
        return PolicyView(self.place(policy.source), policy.action.value, rules, policy.dry_run, policy.provider)

    def _rule(self, source: str, rule: Rule) -> RuleView:
        return RuleView(self.place(source, rule.place), rule_in_words(rule))

    def _judged(self, source: str, rule: Rule, judged: Judged) -> RuleView:
        return RuleView(
            self.place(source, rule.place),
            rule_in_words(rule),
            judged.met,
            self._alternatives(source, judged.sources),
            self._alternatives(source, judged.operations),
            self._compared(source, judged.when),
            judged.unfit,
        )

    def _alternatives(self, source: str, found: Iterable[Alternative]) -> list[list[ComparisonView]]:
        return [self._compared(source, each) for each in found]

    def _compared(self, source: str, alternative: Alternative) -> list[ComparisonView]:
        return [
            ComparisonView(
                named(each.condition),
                list(map(value_in_words, each.condition.values)),
                list(map(value_in_words, each.condition.but_not)),
                each.seen,
                each.met,
                self.place(source, each.condition.place),
            )
            for each in alternative.comparisons
        ]


def _otherwise(policies: Sequence[Policy]) -> str:
    """What happens to a call that no rule fits."""
    allowing = [one for one in policies if one.action is Action.ALLOW]
    if any(not one.dry_run for one in allowing):
        return "denied, as there is an ALLOW policy"
    return "allowed; by the dry runs it would be denied" if allowing else "allowed, as there is no ALLOW policy"
