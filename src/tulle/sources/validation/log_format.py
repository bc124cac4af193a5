"""Lines and fields of access logs in Envoy's format. An unknown command makes Envoy refuse a whole listener, so it is told here.

Source: Envoy 1.40, "Access logging, format strings". `COALESCE`, `SECRET` and others whose argument is a choice of its own are
left out, as in `header_variables`.
"""

from __future__ import annotations

import re

from tulle.sources.at import At
from tulle.sources.validation import cel
from tulle.sources.validation.header_variables import PLAIN, WITH_ARGUMENT

_HEADER = re.compile(r"[^?\s]+(?:\?[^?\s]+)?")
_TIME = re.compile(r"[^\r\n\0]*")
_WITH_ARGUMENT = {
    **WITH_ARGUMENT,
    **dict.fromkeys(("REQ", "RESP", "TRAILER"), _HEADER),
    **dict.fromkeys(("START_TIME", "START_TIME_LOCAL", "EMIT_TIME", "EMIT_TIME_LOCAL"), _TIME),
    **dict.fromkeys(("DOWNSTREAM_PEER_CERT_V_START", "DOWNSTREAM_PEER_CERT_V_END"), _TIME),
    "FILTER_STATE": re.compile(r"[^:\s]+(?::(?:PLAIN|TYPED))?"),
    "UPSTREAM_FILTER_STATE": re.compile(r"[^:\s]+(?::(?:PLAIN|TYPED))?"),
    "CLUSTER_METADATA": re.compile(r".+"),
    "GRPC_STATUS": re.compile(r"CAMEL_STRING|SNAKE_STRING|NUMBER"),
    "METADATA": re.compile(r"(?:DYNAMIC|CLUSTER|ROUTE|UPSTREAM_HOST|LISTENER):.+"),
    "REQ_WITHOUT_QUERY": _HEADER,
    "CEL": re.compile(r".+"),
}
_CUT = frozenset((*WITH_ARGUMENT, "METADATA", "REQ_WITHOUT_QUERY", "CEL", "CLUSTER_METADATA"))
_COMMAND = re.compile(r"%%|%(?:([A-Z0-9_]+)(?:\((.*?)\))?(?::([0-9]{1,9}))?%)?")
_MOST = 16384


def check(text: str, at: At) -> None:
    if len(text) > _MOST:
        at.unsupported(f"has {len(text)} characters: {_MOST} at most")
        return
    if "\0" in text:
        at.unsupported("holds a zero byte, which Envoy does not take")
        return
    for match in _COMMAND.finditer(text):
        name, argument, cut = match.groups()
        if match[0] == "%%" or (name in PLAIN and argument is None and cut is None):
            continue
        wanted = _WITH_ARGUMENT.get(name or "")
        if wanted is None or argument is None or not wanted.fullmatch(argument) or (cut and name not in _CUT):
            at.unsupported(_problem(match[0] if name else text[match.start() :][:60], name))
            return
        if name == "CEL":
            cel.check(argument, at)


def _problem(command: str, name: str | None) -> str:
    if not name:
        return f"`{command}` is no command of Envoy's format: write `%%` for a `%` of the text"
    return (
        f'Envoy has no `{command}` for access logs, or takes no such argument: see its "Access logging, format strings"'
    )
