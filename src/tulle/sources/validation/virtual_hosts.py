"""`hosts` of a VirtualService: for whom its rules are. No two of them may cover the same name."""

from __future__ import annotations

import re
from bisect import bisect_left

from tulle.model.ip import is_address
from tulle.model.resources.virtual_service import VirtualService
from tulle.sources.at import At
from tulle.sources.validation.basics import wildcard_host_problem
from tulle.sources.validation.gateway_names import only_gateways

# Istio makes such names itself, for TLS between its gateways (AUTO_PASSTHROUGH).
_MADE_BY_ISTIO = "outbound_"
_MADE_NAME = re.compile(r"outbound_.[0-8]")


def check(spec: VirtualService, at: At) -> None:
    gateways = only_gateways(spec)
    made_names = gateways and any(match.sni_hosts for route in spec.tls for match in route.match)
    valid = True
    for index, host in enumerate(spec.hosts):
        if problem := host_problem(host, made_names):
            if not is_address(host):
                at.item(index).error(problem)
                valid = False
        elif host == "*" and not gateways:
            at.item(index).error("`*` would take every call of the mesh: name hosts, such as `*.example.com`")
            valid = False
    if valid:
        _check_told_apart(spec.hosts, at)


def host_problem(host: str, made_names: bool = False) -> str | None:
    """made_names: whether those that Istio makes for TLS count as hosts."""
    if made_names and len(host) <= 255 and host.split(".")[0] == _MADE_BY_ISTIO:
        return None if _MADE_NAME.match(host) else f"`{host}` is no host: write `outbound_.<port>_.<subset>_.<host>`"
    return wildcard_host_problem(host)


def covers(host: str, other: str) -> bool:
    """Whether every name that `other` means is one of `host`."""
    if host.startswith("*"):
        if other.startswith("*"):
            return len(other) >= len(host) and other[1:].endswith(host[1:])
        return other.endswith(host[1:])
    return host == other


def _check_told_apart(hosts: tuple[str, ...], at: At) -> None:
    """Looks names up by their ends: a host has few, and there may be thousands of hosts."""
    first: dict[str, int] = {}
    backwards = sorted((host.removeprefix("*")[::-1], index) for index, host in enumerate(hosts))
    for index, host in enumerate(hosts):
        tail = host.removeprefix("*")
        wider = [f"*{tail[start:]}" for start in range(len(tail) + 1)]
        earlier = min((first[name] for name in (host, *wider) if name in first), default=None)
        if earlier is None and host.startswith("*"):
            earlier = _covered(tail[::-1], index, backwards)
        if earlier is not None:
            at.item(index).error(f"`{host}` and `{hosts[earlier]}` mean the same names: keep one of them")
        first.setdefault(host, index)


def _covered(tail: str, index: int, backwards: list[tuple[str, int]]) -> int | None:
    """One before the index that ends so; tail and names are spelled backwards."""
    for place in range(bisect_left(backwards, (tail, -1)), len(backwards)):
        name, other = backwards[place]
        if not name.startswith(tail):
            return None
        if other < index:
            return other
    return None
