"""Who called, as principals of Envoy's RBAC: by the SPIFFE id of its certificate, or by address.

Source: Envoy, RBAC `Principal` and its extension `mtls_authenticated`; SPIFFE-ID, section 2. Ids of workloads are
`spiffe://<trust domain>/ns/<namespace>/sa/<account>`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.access import Attribute, Test, Value
from tulle.translate.access.addresses import cidr
from tulle.translate.access.strings import pattern, regex

_PART = "[^/]"
_SAN = "envoy.extensions.rbac.principals.mtls_authenticated.v3.Config"
_ADDRESSES = {Attribute.SOURCE_IP: "direct_remote_ip", Attribute.REMOTE_IP: "remote_ip"}
# For each principal Envoy goes through the certificate's names. That costs what a regular expression does, so of more values one
# is made; but of too many RE2 would not take it.
_APART, _TOGETHER = 3, 100


def callers(attribute: Attribute, values: Sequence[Value]) -> list[dict[str, Any]]:
    """Principals, of which one fits if one of the values of this attribute of the caller does."""
    if attribute in _ADDRESSES:
        return [{_ADDRESSES[attribute]: cidr(value.text)} for value in values]
    if len(values) <= _APART:
        return [_with_id(_id(attribute, value)) for value in values]
    parts = [values[at : at + _TOGETHER] for at in range(0, len(values), _TOGETHER)]
    return [_with_id(regex("|".join(_pattern(attribute, value) for value in part))) for part in parts]


def _with_id(match: dict[str, Any]) -> dict[str, Any]:
    """Not Envoy's own `authenticated`, which also compares names that are no ids, and costs twice as much.

    On a session that is taken up again it would never fit (envoyproxy/envoy#42668); here none is (translate/tls.py).
    """
    san = message(_SAN)(san_matcher={"san_type": "URI", "matcher": match})
    return {"custom": {"name": "envoy.rbac.principals.mtls_authenticated", "typed_config": pack(san)}}


def _id(attribute: Attribute, value: Value) -> dict[str, Any]:
    if attribute is Attribute.PRINCIPAL and value.test in (Test.EXACT, Test.PREFIX):
        return {value.test.value: f"spiffe://{value.text}"}
    return regex(_pattern(attribute, value))


def _pattern(attribute: Attribute, value: Value) -> str:
    part = pattern(value, f"{_PART}*", f"{_PART}+")
    match attribute:
        case Attribute.NAMESPACE:
            return f"spiffe://{_PART}+/ns/{part}/sa/.+"
        case Attribute.TRUST_DOMAIN:
            return f"spiffe://{part}/.+"
        case Attribute.SERVICE_ACCOUNT:
            namespaced = f"{_PART}+/{_PART}+" if value.test is Test.PRESENT else pattern(value)
            return f"spiffe://{_PART}+/ns/{namespaced.replace('/', '/sa/', 1)}"
        case _:
            return f"spiffe://{pattern(value)}"
