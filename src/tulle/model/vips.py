"""Virtual IPs: the address on loopback that stands for a service wherever programs know it by an address.

They lie in 127.64.0.0/10, so that a connection which is not captured stays on this machine and is refused. Where a
service's address is looked for first follows from its name: without a collision every mesh gives it the same one.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from ipaddress import IPv4Network
from socket import inet_ntoa

from tulle.model.addresses import VIPS
from tulle.model.names import ServiceName

NETWORK = IPv4Network(VIPS)
_OWN = 256  # the last of them are tulle's own
_FIRST, _COUNT = int(NETWORK[1]), NETWORK.num_addresses - 1 - _OWN


def candidates(service: ServiceName) -> Iterator[str]:
    """All addresses that a service may have, in the order in which to try them."""
    start = int.from_bytes(blake2b(f"{service.namespace}/{service.name}".encode(), digest_size=8).digest(), "big")
    return (inet_ntoa((_FIRST + (start + step) % _COUNT).to_bytes(4, "big")) for step in range(_COUNT))
