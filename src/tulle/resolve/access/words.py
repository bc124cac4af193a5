"""Rules of access in words, for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tulle.ir.access import Attribute, Condition, Rule, Test, Value

_NAMES = {
    Attribute.SERVICE_ACCOUNT: "service account",
    Attribute.TRUST_DOMAIN: "trust domain",
    Attribute.SOURCE_IP: "source address",
    Attribute.REMOTE_IP: "original address",
    Attribute.REQUEST_PRINCIPAL: "token of",
    Attribute.DESTINATION_IP: "own address",
    Attribute.SNI: "SNI",
}


def rule_in_words(rule: Rule) -> str:
    """`from namespace shop; to method GET and path /data; when header x-role is admin`; `any request` for one without fields."""
    parts = [
        *_either("from", rule.sources, "anybody"),
        *_either("to", rule.operations, "anything"),
        *([f"when {' and '.join(map(condition_in_words, rule.when))}"] if rule.when else []),
    ]
    return "; ".join(parts) or "any request"


def condition_in_words(condition: Condition) -> str:
    parts = [
        *([f"{named(condition)} {_any_of(condition.values)}"] if condition.values else []),
        *([f"not {named(condition)} {_any_of(condition.but_not)}"] if condition.but_not else []),
    ]
    return " and ".join(parts)


def named(condition: Condition) -> str:
    """`method`, `header x-role`, `claim realm.roles`."""
    name = _NAMES.get(condition.attribute, condition.attribute.value)
    return f"{name} {'.'.join(condition.key)}" if condition.key else name


def value_in_words(value: Value) -> str:
    """As its user has written it."""
    match value.test:
        case Test.PRESENT:
            return "*"
        case Test.PREFIX:
            return f"{value.text}*"
        case Test.SUFFIX:
            return f"*{value.text}"
        case _:
            return value.text


def _either(word: str, alternatives: Iterable[tuple[Condition, ...]], all_of_them: str) -> Iterator[str]:
    said = [" and ".join(map(condition_in_words, each)) or all_of_them for each in alternatives]
    if said:
        yield f"{word} {', or '.join(said)}"


def _any_of(values: Iterable[Value]) -> str:
    said = list(map(value_in_words, values))
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} or {said[-1]}"
