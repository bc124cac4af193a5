"""What is asked for, as permissions of Envoy's RBAC, and headers.

Source: Envoy, RBAC `Permission`, `HeaderMatcher`; istio.io, Security Best Practices, "Host matching" and "Path normalization".
A caller writes these itself. So that a rule can't be got around by writing them otherwise, hosts are compared in any case and
with any port, and of a header that is there several times, or is a list, a value that must not be there is looked for
everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tulle.ir.access import Attribute, Test, Value
from tulle.translate.access.addresses import cidr
from tulle.translate.access.strings import pattern, regex, string_match

_ONE, _ANY = "{*}", "{**}"


def request(attribute: Attribute, value: Value, anywhere: bool = False) -> dict[str, Any]:
    """A permission for one value. anywhere: as for headers, of a host."""
    match attribute:
        case Attribute.HOST:
            return {"header": {"name": ":authority", **_host(value, anywhere)}}
        case Attribute.METHOD:
            return {"header": {"name": ":method", "string_match": string_match(value)}}
        case Attribute.PATH:
            return {"url_path": {"path": _path(value)}}
        case Attribute.DESTINATION_IP:
            return {"destination_ip": cidr(value.text)}
        case _:
            return {"requested_server_name": string_match(value)}


def header(name: str, values: Sequence[Value], anywhere: bool) -> dict[str, Any]:
    """A principal for one of several values. anywhere: fits if any part of the header does, not only if all of it does.

    A header that comes several times is one, its values joined with commas (bootstrap.RUNTIME).
    """
    if any(value.test is Test.PRESENT for value in values):
        return {"header": {"name": name, "present_match": True}}
    wanted = "|".join(map(pattern, values))
    whole = rf"(?:.*,\s*)?(?:{wanted})(?:\s*,.*)?" if anywhere else wanted
    return {"header": {"name": name, "string_match": regex(whole)}}


def _host(value: Value, anywhere: bool) -> dict[str, Any]:
    """anywhere: also behind `user@`, with dots or something that is no port after it, or as one of several hosts."""
    if value.test is Test.PRESENT:
        return {"present_match": True}
    open_ended = value.test is Test.PREFIX
    has_port = ":" in value.text.rpartition("]")[2]
    if anywhere:
        port = "" if has_port or open_ended else r"\.*(?::[^,]*)?"
        return {"string_match": regex(rf"(?i)(?:.*[,@]\s*)?{pattern(value)}{port}(?:\s*,.*)?")}
    port = "" if has_port or open_ended else "(?::[0-9]*)?"
    return {"string_match": regex(f"(?i){pattern(value)}{port}")}


def _path(value: Value) -> dict[str, Any]:
    """Not Envoy's own templates: what they take for a segment lacks characters that a caller may write."""
    if value.test is not Test.TEMPLATE:
        return string_match(value)
    parts = re.split(r"(\{\*\*?\})", value.text)
    return regex("".join({_ONE: "[^/]+", _ANY: ".*"}.get(part, re.escape(part)) for part in parts))
