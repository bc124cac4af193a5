"""`when` of an AuthorizationPolicy: keys that name what is looked at, and the values of each.

Source: Istio, pkg/config/security (ValidateAttribute); istio.io, Authorization Policy Conditions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from tulle.model.resources.authorization_policy import Condition
from tulle.sources.at import At
from tulle.sources.validation.authorization_rule import check_accounts, check_blocks, check_ports, check_values
from tulle.sources.yaml_text import nearest

_HEADERS, _CLAIMS, _INLINE = "request.headers", "request.auth.claims", "request.experimental.inline.headers"
_FILTERS = "experimental.envoy.filters."
OF_CALLERS = ("source.namespace", "source.serviceAccount", "source.principal")
OF_TOKENS = "request.auth."

_CHECKS: Mapping[str, Callable[[Sequence[str], At], None]] = {
    "source.ip": check_blocks,
    "remote.ip": check_blocks,
    "source.namespace": check_values,
    "source.serviceAccount": check_accounts,
    "source.principal": check_values,
    "request.auth.principal": check_values,
    "request.auth.audiences": check_values,
    "request.auth.presenter": check_values,
    "destination.ip": check_blocks,
    "destination.port": check_ports,
    "connection.sni": check_values,
}
_GONE = {
    "destination.namespace": "a policy is for its own namespace: put it there",
    "destination.name": "a policy is for what it selects: use `selector` or `targetRef`",
    "destination.user": "a policy is for what it selects: use `selector` or `targetRef`",
}
_HEADER = re.compile(r"request\.headers\[[^\[\]\0\r\n]+\]")
_CLAIM = re.compile(r"request\.auth\.claims(\[[^\[\]]+\])+")


def check(condition: Condition, at: At) -> None:
    key, place = condition.key, at.field("key")
    if not key:
        place.error("is needed: what is looked at, such as `request.headers[x-user]`")
        return
    if not (condition.values or condition.not_values):
        at.error(f"says nothing of `{key}`: give `values` or `notValues`")
        return
    _check_key(key, place)
    check_them = _CHECKS.get(key, check_values)
    check_them(condition.values, at.field("values"))
    check_them(condition.not_values, at.field("notValues"))


def _check_key(key: str, at: At) -> None:
    if key in _CHECKS:
        return
    if key.startswith((_HEADERS, _CLAIMS, _INLINE, _FILTERS)):
        if not _is_bracketed(key):
            at.error(f"`{key}` must name one thing in brackets, as in `{_HEADERS}[x-user]`")
        elif key.startswith(_FILTERS):
            at.unsupported(f"`{key}`: tulle's sidecars have no filters of yours whose words could be looked at")
        elif key.startswith(_INLINE):
            at.unsupported(f"`{key}`: tulle compares whole headers: write `{_HEADERS}[...]`")
        elif not (_HEADER if key.startswith(_HEADERS) else _CLAIM).fullmatch(key):
            at.unsupported(f"`{key}` fits nothing: write `{_HEADERS}[x-user]`, `{_CLAIMS}[iss]`, `{_CLAIMS}[a][b]`")
    elif key.startswith("destination.labels"):
        at.error(f"`{key}` is not looked at: select workloads by `selector`")
    else:
        at.error(f"`{key}` is not looked at: {_GONE.get(key) or nearest(key, (*_CHECKS, _HEADERS, _CLAIMS))}")


def _is_bracketed(key: str) -> bool:
    start = key.find("[")
    return key.endswith("]") and 0 < start < len(key) - 2
