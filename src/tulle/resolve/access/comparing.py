"""Whether what a call shows fits a value of a policy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import re2

from tulle.ir.access import Access, Attribute, Condition, Test, Value
from tulle.resolve.access.calls import Call

_ADDRESSES = {
    Attribute.SOURCE_IP: "source_ip",
    Attribute.REMOTE_IP: "remote_ip",
    Attribute.DESTINATION_IP: "destination_ip",
}
_CLAIMS = {Attribute.AUDIENCE: ("aud",), Attribute.PRESENTER: ("azp",)}


def fits(condition: Condition, value: Value, access: Access, call: Call, *, anywhere: bool) -> bool:
    """anywhere: one of several values of a header is enough."""
    match condition.attribute:
        case Attribute.PORT:
            return value.text in access.ports
        case Attribute.SOURCE_IP | Attribute.REMOTE_IP | Attribute.DESTINATION_IP as attribute:
            return ip_address(getattr(call, _ADDRESSES[attribute])) in ip_network(value.text)
        case Attribute.HEADER:
            return _header_fits(call.headers.get(condition.key[0]), value, anywhere)
        case Attribute.HOST:
            return _host_fits(call.host, value, anywhere)
        case Attribute.PATH if value.test is Test.TEMPLATE:
            return _template_fits(call.path, value.text)
        case Attribute.REQUEST_PRINCIPAL:
            return _request_principal_fits(call.claims, value)
        case Attribute.AUDIENCE | Attribute.PRESENTER | Attribute.CLAIM:
            return any(_text_fits(text, value) for text in _claim(condition, call))
        case _:
            text = _text(condition, call)
            return text is not None and _text_fits(text, value)


def seen(condition: Condition, access: Access, call: Call) -> str | None:
    """What a call shows of an attribute, for people."""
    match condition.attribute:
        case Attribute.PORT:
            return " or ".join(access.ports)
        case Attribute.SOURCE_IP | Attribute.REMOTE_IP | Attribute.DESTINATION_IP as attribute:
            return str(getattr(call, _ADDRESSES[attribute]))
        case Attribute.HEADER:
            return call.headers.get(condition.key[0])
        case Attribute.HOST:
            return call.host
        case Attribute.REQUEST_PRINCIPAL:
            iss, sub = (_string(call.claims, name) for name in ("iss", "sub"))
            return f"{iss}/{sub}" if iss is not None and sub is not None else None
        case Attribute.AUDIENCE | Attribute.PRESENTER | Attribute.CLAIM:
            return ", ".join(_claim(condition, call)) or None
        case _:
            return _text(condition, call)


def _text(condition: Condition, call: Call) -> str | None:
    """None where there is nothing of it."""
    match condition.attribute:
        case Attribute.PRINCIPAL:
            return call.principal or None
        case Attribute.NAMESPACE | Attribute.SERVICE_ACCOUNT | Attribute.TRUST_DOMAIN as attribute:
            return _of_principal(call.principal, attribute)
        case Attribute.METHOD:
            return call.method
        case Attribute.PATH:
            return call.path
        case _:
            return call.sni


def _of_principal(principal: str, attribute: Attribute) -> str | None:
    """Ids of workloads are `<trust domain>/ns/<namespace>/sa/<account>`."""
    domain, _, rest = principal.partition("/")
    if attribute is Attribute.TRUST_DOMAIN:
        return domain if domain and rest else None
    found = re.fullmatch(r"ns/([^/]+)/sa/(.+)", rest)
    if found is None:
        return None
    return found[1] if attribute is Attribute.NAMESPACE else f"{found[1]}/{found[2]}"


def _text_fits(text: str, value: Value) -> bool:
    match value.test:
        case Test.PRESENT:
            return bool(text)
        case Test.PREFIX:
            return text.startswith(value.text)
        case Test.SUFFIX:
            return text.endswith(value.text)
        case _:
            return text == value.text


def _host_fits(host: str, value: Value, anywhere: bool) -> bool:
    """In any case, and with any port where the value has none. anywhere: however else somebody may write that host."""
    if value.test is Test.PRESENT:
        return bool(host)
    text = re.escape(value.text)
    wanted = {Test.PREFIX: f"{text}.*", Test.SUFFIX: f".*{text}"}.get(value.test, text)
    has_port = ":" in value.text.rpartition("]")[2] or value.test is Test.PREFIX
    if anywhere:
        port = "" if has_port else r"\.*(?::[^,]*)?"
        wanted = rf"(?:.*[,@]\s*)?{wanted}{port}(?:\s*,.*)?"
    elif not has_port:
        wanted += "(?::[0-9]*)?"
    return re2.fullmatch(f"(?i){wanted}", host) is not None


def _header_fits(text: str | None, value: Value, anywhere: bool) -> bool:
    if text is None:
        return False
    if value.test is Test.PRESENT:
        return True
    return any(_text_fits(part, value) for part in (_parts(text) if anywhere else (text,)))


def _parts(text: str) -> Iterator[str]:
    """A list's values, and runs of them, with and without the spaces around: a value may itself have commas."""
    starts = {0, *(at for comma in re.finditer(r",\s*", text) for at in range(comma.start() + 1, comma.end() + 1))}
    ends = {len(text), *(at for comma in re.finditer(r"\s*,", text) for at in range(comma.start(), comma.end()))}
    return (text[start:end] for start in starts for end in ends if start <= end)


def _template_fits(path: str, template: str) -> bool:
    parts = re.split(r"(\{\*\*?\})", template)
    pattern = "".join({"{*}": "[^/]+", "{**}": ".*"}.get(part, re.escape(part)) for part in parts)
    return re2.fullmatch(pattern, path) is not None


def _claim(condition: Condition, call: Call) -> list[str]:
    """The texts at a claim's path: itself, or of a list each that is a text."""
    value: Any = call.claims
    for key in _CLAIMS.get(condition.attribute, condition.key):
        value = value.get(key) if isinstance(value, dict) else None
    found = value if isinstance(value, list) else [value]
    return [each for each in found if isinstance(each, str)]


def _string(claims: Any, name: str) -> str | None:
    value = claims.get(name) if claims is not None else None
    return value if isinstance(value, str) else None


def _request_principal_fits(claims: Any, value: Value) -> bool:
    """`<issuer>/<subject>`: the last slash parts them, as an issuer is often a URL."""
    iss, sub = _string(claims, "iss"), _string(claims, "sub")
    if not iss or not sub:
        return False
    issuer, slash, subject = value.text.rpartition("/")
    match value.test:
        case Test.PRESENT:
            return True
        case Test.SUFFIX:
            return iss.endswith(issuer) and sub == subject if slash else sub.endswith(value.text)
        case Test.PREFIX:
            return (bool(slash) and iss == issuer and sub.startswith(subject)) or iss.startswith(value.text)
        case _:
            return iss == issuer and sub == subject
