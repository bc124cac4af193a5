"""Who called, as principals of Envoy's RBAC: by the SPIFFE id of its certificate, or by address.

Source: Envoy, RBAC `Principal`; SPIFFE-ID, section 2. Ids of workloads are `spiffe://<trust domain>/ns/<namespace>/sa/<account>`.
"""

from __future__ import annotations

from typing import Any

from tulle.ir.access import Attribute, Test, Value
from tulle.translate.access.addresses import cidr
from tulle.translate.access.strings import pattern, regex

_PART = "[^/]"


def caller(attribute: Attribute, value: Value) -> dict[str, Any]:
    """A principal for one value of an attribute of the caller."""
    match attribute:
        case Attribute.SOURCE_IP:
            return {"direct_remote_ip": cidr(value.text)}
        case Attribute.REMOTE_IP:
            return {"remote_ip": cidr(value.text)}
        case _:
            return {"authenticated": {"principal_name": _id(attribute, value)}}


def _id(attribute: Attribute, value: Value) -> dict[str, Any]:
    part = pattern(value, f"{_PART}*", f"{_PART}+")
    match attribute:
        case Attribute.NAMESPACE:
            return regex(f"spiffe://{_PART}+/ns/{part}/sa/.+")
        case Attribute.TRUST_DOMAIN:
            return regex(f"spiffe://{part}/.+")
        case Attribute.SERVICE_ACCOUNT:
            namespaced = f"{_PART}+/{_PART}+" if value.test is Test.PRESENT else pattern(value)
            return regex(f"spiffe://{_PART}+/ns/{namespaced.replace('/', '/sa/', 1)}")
        case _ if value.test is Test.EXACT:
            return {"exact": f"spiffe://{value.text}"}
        case _:
            return regex(f"spiffe://{pattern(value)}")
