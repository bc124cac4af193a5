"""Policies as rules of Envoy's RBAC. Source: Envoy, `envoy.config.rbac.v3`: a policy fits if one of its permissions and one of
its principals do. An alternative of a rule's sources is one of the principals, one of its operations one of the permissions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tulle.ir.access import Access, Action, Attribute, Condition, Policy, Rule, Value
from tulle.translate.access.callers import callers
from tulle.translate.access.requests import header, request
from tulle.translate.access.tokens import token

_REQUEST = frozenset(
    (Attribute.HOST, Attribute.METHOD, Attribute.PATH, Attribute.PORT, Attribute.DESTINATION_IP, Attribute.SNI)
)
_CALLER = frozenset(
    (
        *(Attribute.PRINCIPAL, Attribute.NAMESPACE, Attribute.SERVICE_ACCOUNT, Attribute.TRUST_DOMAIN),
        *(Attribute.SOURCE_IP, Attribute.REMOTE_IP),
    )
)
_TOKEN = frozenset((Attribute.REQUEST_PRINCIPAL, Attribute.AUDIENCE, Attribute.PRESENTER, Attribute.CLAIM))


def rules(policies: Iterable[Policy], access: Access, *, tcp: bool) -> dict[str, Any]:
    """By the name by which Envoy tells which one has decided: `AuthorizationPolicy default/admins spec.rules[0]`.

    tcp: for a connection of which nobody reads requests.
    """
    return {f"{p.source} {rule.place}": made for p in policies for rule, made in _of(p, access, tcp)}


def _of(policy: Policy, access: Access, tcp: bool) -> Iterator[tuple[Rule, dict[str, Any]]]:
    """A policy without rules has none that fits; the rest is for whoever asks for a decision."""
    for rule in policy.rules:
        principals, permissions = _Words("id", policy.action, access), _Words("rule", policy.action, access)
        given = [*rule.sources, *rule.operations, rule.when]
        if tcp and policy.action is Action.ALLOW and any(c.attribute.is_http for cs in given for c in cs):
            continue
        sources = rule.sources or ((),)
        operations = rule.operations or ((),)
        yield (
            rule,
            {
                "permissions": [permissions.all_of(_which((*o, *rule.when), True, tcp)) for o in operations],
                "principals": [principals.all_of(_which((*s, *rule.when), False, tcp)) for s in sources],
            },
        )


def _which(conditions: Iterable[Condition], request: bool, tcp: bool) -> list[Condition]:
    return [c for c in conditions if (c.attribute in _REQUEST) == request and not (tcp and c.attribute.is_http)]


class _Words:
    """Permissions and principals are put together in the same way, in other words."""

    def __init__(self, word: str, action: Action, access: Access) -> None:
        self._word, self._action, self._access = word, action, access

    def all_of(self, conditions: Iterable[Condition]) -> dict[str, Any]:
        met = [part for condition in conditions for part in self._condition(condition)]
        return self._set("and", met) if met else {"any": True}

    def _condition(self, condition: Condition) -> Iterator[dict[str, Any]]:
        if condition.values:
            yield self._one_of(condition, condition.values, unwanted=False)
        if condition.but_not:
            yield {f"not_{self._word}": self._one_of(condition, condition.but_not, unwanted=True)}

    def _one_of(self, condition: Condition, values: tuple[Value, ...], *, unwanted: bool) -> dict[str, Any]:
        # What leads to a refusal may be anywhere in what the caller wrote; what leads to a permission must be all of it.
        anywhere = unwanted == (self._action is Action.ALLOW)
        if condition.attribute is Attribute.HEADER:
            return header(condition.key[0], values, anywhere)
        if condition.attribute in _CALLER:
            return self._set("or", callers(condition.attribute, values))
        return self._set("or", [self._value(condition, value, anywhere) for value in values])

    def _value(self, condition: Condition, value: Value, anywhere: bool) -> dict[str, Any]:
        attribute = condition.attribute
        if attribute is Attribute.PORT:
            return {"any": True} if value.text in self._access.ports else {f"not_{self._word}": {"any": True}}
        if attribute in _TOKEN:
            return token(attribute, condition.key, value)
        return request(attribute, value, anywhere)

    def _set(self, how: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
        return parts[0] if len(parts) == 1 else {f"{how}_{self._word}s": {f"{self._word}s": parts}}
