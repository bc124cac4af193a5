"""`hosts` of a VirtualService: for whom its rules are. No two of them may cover the same name."""

from __future__ import annotations

import re

from tulle.model.resources.virtual_service import VirtualService
from tulle.sources.at import At
from tulle.sources.validation.basics import is_address, wildcard_host_problem
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
    for index, host in enumerate(hosts):
        for earlier in hosts[:index]:
            if covers(host, earlier) or covers(earlier, host):
                at.item(index).error(f"`{host}` and `{earlier}` mean the same names: keep one of them")
