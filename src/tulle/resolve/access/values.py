"""Values of an AuthorizationPolicy: how each is compared. Source: istio.io, Authorization Policy, "Rule" and "Source"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_network

from tulle.ir.access import Test, Value

_TEMPLATES = ("{*}", "{**}")
# <trust domain>/ns/<namespace>/sa/<service account>
_PARTS = 5


def values(texts: Iterable[str]) -> tuple[Value, ...]:
    """`abc`, `abc*`, `*abc` or `*`."""
    return tuple(map(value, texts))


def value(text: str) -> Value:
    if text == "*":
        return Value(Test.PRESENT)
    if text.startswith("*"):
        return Value(Test.SUFFIX, text[1:])
    if text.endswith("*"):
        return Value(Test.PREFIX, text[:-1])
    return Value(Test.EXACT, text)


def hosts(texts: Iterable[str]) -> tuple[Value, ...]:
    return values(text.lower() for text in texts)


def ports(texts: Iterable[str]) -> tuple[Value, ...]:
    """As their numbers are written: `080` is 80."""
    return tuple(Value(Test.EXACT, str(int(text))) for text in texts)


def paths(texts: Iterable[str]) -> tuple[Value, ...]:
    """With templates: `/users/{*}/orders/{**}`."""
    return tuple(Value(Test.TEMPLATE, text) if any(t in text for t in _TEMPLATES) else value(text) for text in texts)


def blocks(texts: Iterable[str]) -> tuple[Value, ...]:
    """Addresses and ranges of them, all as ranges."""
    return tuple(Value(Test.CIDR, str(ip_network(text, strict=False))) for text in texts)


def service_accounts(texts: Iterable[str], namespace: str) -> tuple[Value, ...]:
    """One without a namespace is of the policy's."""
    return values(text if "/" in text or text == "*" else f"{namespace}/{text}" for text in texts)


def principals(texts: Iterable[str], domains: Sequence[str]) -> tuple[Value, ...]:
    """domains: the mesh's trust domain and its aliases. One that names any of these means that id in all of them."""
    return values(dict.fromkeys(one for text in texts for one in _in_all(text, domains)))


def trust_domains(texts: Iterable[str], domains: Sequence[str]) -> tuple[Value, ...]:
    """domains: as for principals."""
    return values(dict.fromkeys(one for text in texts for one in (domains if text in domains else (text,))))


def _in_all(principal: str, domains: Sequence[str]) -> Iterable[str]:
    written, _, rest = principal.partition("/")
    fitting = [domain for domain in domains if _fits(value(written), domain)]
    if principal.count("/") != _PARTS - 1 or written == "*" or not fitting:
        return (principal,)
    return (principal if domain in fitting else f"{domain}/{rest}" for domain in domains)


def _fits(wanted: Value, text: str) -> bool:
    match wanted.test:
        case Test.PREFIX:
            return text.startswith(wanted.text)
        case Test.SUFFIX:
            return text.endswith(wanted.text)
        case _:
            return text == wanted.text
