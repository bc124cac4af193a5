"""Where the control plane may go to fetch keys: to public addresses, and to what was allowed at its start.

Whoever may declare a resource names the URI. Without this the control plane would ask for them what it alone can reach: its
own machine, its network, a cloud's metadata (server-side request forgery).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from msgspec import Struct

from tulle.model.names import is_host

_PORTS = {"http": 80, "https": 443}
_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
# What versions of Python take for public, and is a cloud's within its machines: Oracle's metadata, Azure's.
_SPECIAL = (IPv4Network("192.0.0.0/24"), IPv4Network("168.63.129.16/32"))
_NOT_IN_A_PATH = re.compile(r"[^!-~]")  # RFC 3986: all else is to be written with a `%`


class Refused(Exception):
    """The control plane does not go there. The message is for whoever declared it."""


class Place(Struct, frozen=True):
    """What a URI says. path: with its query."""

    secure: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """As the Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.secure else "http"] else f"{host}:{self.port}"


@dataclass(frozen=True)
class Allowed:
    """Beyond what is public: hosts by name, in lower case, and networks."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def check(self, host: str, addresses: Iterable[str]) -> None:
        """Raises Refused if one of the addresses of a host may not be asked, or there is none."""
        found = list(addresses)
        if not found:
            raise Refused(f"{host} has no address")
        for address in found if host not in self.hosts else ():
            if not self._has(address):
                raise Refused(
                    f"{host} is at {address}, which is no public address: allow it with tulle up --jwks-allow {host}"
                )

    def _has(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return is_public(parsed) or any(parsed in network for network in self.networks)


def allowed(words: Iterable[str]) -> Allowed:
    """Of hosts, addresses and networks, `idp.internal`, `10.1.2.3`, `10.0.0.0/8`. Raises ValueError."""
    hosts, networks = set[str](), list[IPv4Network | IPv6Network]()
    for word in words:
        try:
            networks.append(ip_network(word))
            continue
        except ValueError as error:
            if "/" in word or not is_host(word.lower()):
                raise ValueError(f"{word!r} is no host, no address and no network: {error}") from error
        hosts.add(word.lower())
    return Allowed(frozenset(hosts), tuple(networks))


def place_of(uri: str) -> Place:
    """Raises Refused for what is no plain http or https URI."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        raise Refused(f"{uri!r} is no URI: {error}") from error
    if parts.scheme not in _PORTS:
        raise Refused(f"{uri!r} begins with neither https:// nor http://")
    if "@" in parts.netloc:
        raise Refused("the URI holds a user or a password")
    host = (parts.hostname or "").rstrip(".")
    if not host or _NOT_IN_A_PATH.search(parts.netloc) or "%" in parts.netloc:
        raise Refused(f"{uri!r} names no host")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if _NOT_IN_A_PATH.search(path):
        raise Refused(f"{uri!r} holds what must be written with a `%`")
    return Place(parts.scheme == "https", host, _PORTS[parts.scheme] if port is None else port, path)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether anybody could reach it, also where it stands for an address of the other family."""
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        within = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if within is None and address in _NAT64:
            within = IPv4Address(int(address) & 0xFFFF_FFFF)
        if within:
            return is_public(within)
        if address not in _UNICAST:
            return False
    elif any(address in network for network in _SPECIAL):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
