"""`from` and `to` of an AuthorizationPolicy's rule.

Source: Istio, pkg/config/validation (ValidateAuthorizationPolicy) and pkg/config/security.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from msgspec import structs

from tulle.model.resources.authorization_policy import Operation, Rule, Source
from tulle.sources.at import At
from tulle.sources.validation import path_templates
from tulle.sources.validation.amounts import check_count
from tulle.sources.validation.basics import check_subnet

_ACCOUNTS = ("serviceAccounts", "notServiceAccounts")
_IDENTITIES = ("principals", "notPrincipals", "namespaces", "notNamespaces")
_BLOCKS = ("ipBlocks", "notIpBlocks", "remoteIpBlocks", "notRemoteIpBlocks")
_TOKENS = ("requestPrincipals", "notRequestPrincipals")
_PORTS = ("ports", "notPorts")
_PATHS = ("paths", "notPaths")
_MOST_ACCOUNTS, _LONGEST_ACCOUNT = 16, 320
_DIGITS = re.compile(r"[0-9]+")


def check(rule: Rule, at: At) -> None:
    for index, one in enumerate(rule.from_):
        place = at.field("from").item(index).field("source")
        if one.source is None:
            place.error("is needed: say who calls, such as `namespaces: [default]`")
        else:
            _check_source(one.source, place)
    for index, to in enumerate(rule.to):
        place = at.field("to").item(index).field("operation")
        if to.operation is None:
            place.error("is needed: say what is called, such as `paths: [/api/*]`")
        else:
            _check_operation(to.operation, place)


def _check_source(source: Source, at: At) -> None:
    given = _given(source)
    if not given:
        at.error("says nothing: say who calls, or leave `from` out for anybody")
    if set(given) & set(_ACCOUNTS) and set(given) & set(_IDENTITIES):
        name = next(name for name in given if name in _ACCOUNTS)
        at.field(name).error(
            "can't stand beside `principals` or `namespaces`: write an account as `NAMESPACE/ACCOUNT`, "
            "or the others into a source of their own"
        )
    for name, values in given.items():
        place = at.field(name)
        if name in _BLOCKS:
            check_blocks(values, place)
        elif name in _ACCOUNTS:
            check_accounts(values, place)
        else:
            check_values(values, place)


def _check_operation(operation: Operation, at: At) -> None:
    given = _given(operation)
    if not given:
        at.error("says nothing: say what is called, or leave `to` out for everything")
    for name, values in given.items():
        place = at.field(name)
        if name in _PORTS:
            check_ports(values, place)
            continue
        check_values(values, place)
        for index, path in enumerate(values if name in _PATHS else ()):
            path_templates.check(path, place.item(index))


def is_http_alone(rule: Rule) -> bool:
    """Whether it has sources or operations, and none of them asks for anything that TCP knows."""
    sources = [_given(one.source) for one in rule.from_ if one.source is not None]
    operations = [_given(one.operation) for one in rule.to if one.operation is not None]
    if operations:
        return not any(name in given for given in operations for name in _PORTS)
    return bool(sources) and all(name in _TOKENS for given in sources for name in given)


def check_values(values: Sequence[str], at: At) -> None:
    for index, value in enumerate(values):
        if not value:
            at.item(index).error("is empty: write a value; `*` is any that is there")


def check_blocks(values: Sequence[str], at: At) -> None:
    for index, value in enumerate(values):
        place = at.item(index)
        check_subnet(value, place)
        if "%" in value and "/" not in value:
            place.unsupported(f"`{value}` names a link, which Envoy does not compare: write the address without it")


def check_ports(values: Sequence[str], at: At) -> None:
    for index, value in enumerate(values):
        if not (_DIGITS.fullmatch(value) and len(value.lstrip("0")) <= 5 and int(value.lstrip("0") or 0) <= 65535):
            at.item(index).error(f"{value!r} is no port: write a number, up to 65535")


def check_accounts(values: Sequence[str], at: At) -> None:
    check_count(values, at, _MOST_ACCOUNTS)
    for index, value in enumerate(values):
        place, (namespace, slash, account) = at.item(index), value.partition("/")
        if "*" in value:
            place.error(f"`{value}`: accounts are compared whole, so write each out, or use `principals`")
        elif len(value.encode()) > _LONGEST_ACCOUNT:
            place.error(f"has {len(value.encode())} characters: {_LONGEST_ACCOUNT} at most")
        elif "/" in account or (slash and not (namespace and account)) or not value:
            place.error(f"{value!r} is no account: write `ACCOUNT` for the policy's namespace, or `NAMESPACE/ACCOUNT`")


def _given(message: Any) -> dict[str, tuple[str, ...]]:
    """The lists that are not empty, by their names in the document."""
    return {field.encode_name: values for field in structs.fields(message) if (values := getattr(message, field.name))}
