"""Whom `tulle revoke` means: a proxy, the instances of a service, or a service account."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches

from msgspec import Struct

from tulle.identity.enrolled import Enrolled
from tulle.model.names import is_label
from tulle.model.spiffe import TRUST_DOMAIN, proxy_of

_ACCOUNT = re.compile(rf"(?:(?:spiffe://)?{re.escape(TRUST_DOMAIN)}/)?ns/([^/]+)/sa/([^/]+)")
_SHAPES = (
    "name a proxy's id, a service as SERVICE or SERVICE.NAMESPACE, or a service account as ns/NAMESPACE/sa/NAME "
    f"or spiffe://{TRUST_DOMAIN}/ns/NAMESPACE/sa/NAME"
)


class NoTarget(Exception):
    """It names nobody. The message is for the user. is_malformed: and never could."""

    def __init__(self, message: str, *, is_malformed: bool = False) -> None:
        super().__init__(message)
        self.is_malformed = is_malformed


class Account(Struct, frozen=True):
    """All that are enrolled with it, and whoever would."""

    namespace: str
    service_account: str


class Named(Struct, frozen=True):
    """One proxy, or the instances of a service. namespace: "" if it was not said."""

    name: str
    namespace: str = ""
    is_proxy: bool = False


def target_of(text: str, namespace: str = "") -> Account | Named:
    """namespace: only there. Raises NoTarget."""
    if found := _ACCOUNT.fullmatch(text):
        account = Account(*found.groups())
        if namespace not in ("", account.namespace):
            raise NoTarget(f"{text} is in the namespace {account.namespace}, not in {namespace}", is_malformed=True)
        target: Account | Named = account
        parts = [account.namespace, account.service_account]
    elif proxy := proxy_of(text):
        target, parts = Named(proxy, namespace, is_proxy=True), [proxy]
    else:
        name, _, said = text.partition(".")
        if said and namespace not in ("", said):
            raise NoTarget(f"{text} is in the namespace {said}, not in {namespace}", is_malformed=True)
        space = said or namespace
        target, parts = Named(name, space), [name, *([space] if space or "." in text else [])]
    if not all(map(is_label, parts)):
        raise NoTarget(f"{text[:200]!r} names nobody: {_SHAPES}", is_malformed=True)
    return target


def meant(target: Account | Named, enrolled: Collection[Enrolled]) -> list[Enrolled]:
    """Those of the enrolled. Raises NoTarget if a name is that of services in several namespaces."""
    if isinstance(target, Account):
        asked = (target.namespace, target.service_account)
        return [one for one in enrolled if (one.namespace, one.service_account) == asked]
    here = [one for one in enrolled if target.namespace in ("", one.namespace)]
    if exact := [one for one in here if one.proxy == target.name]:
        return exact
    found = [] if target.is_proxy else [one for one in here if one.service == target.name]
    if len(spaces := sorted({one.namespace for one in found})) > 1:
        names = ", ".join(f"{target.name}.{space}" for space in spaces)
        raise NoTarget(f"{target.name} is several services: name one of {names}", is_malformed=True)
    return found


def nobody(target: Named, among: Iterable[Enrolled]) -> NoTarget:
    """That it is not there, and who may have been meant."""
    said = f"{target.name}.{target.namespace}" if target.namespace else target.name
    near = get_close_matches(said, sorted(set(_names(among))), 1)
    hint = f"did you mean {near[0]}?" if near else "`tulle proxies` lists who is there"
    return NoTarget(f"no proxy or service {said} is enrolled, or its certificates have ended; {hint}")


def _names(among: Iterable[Enrolled]) -> Iterator[str]:
    for one in among:
        yield from (one.proxy, one.service, f"{one.service}.{one.namespace}")
