"""What a rule of nftables is made of: expressions that load a fact, compare it, and act (linux/netfilter/nf_tables.h).

Each function gives the bytes of one step or of a few that belong together; a rule is their sequence, and ends without
effect at the first comparison that fails. All go through one register and its parts. Who sends them is `nftables.py`.
"""

from __future__ import annotations

import struct

_REGISTER = 1  # 16 bytes: enough for an IPv6 address
_AFTER_4, _AFTER_16 = 9, 12  # of four bytes each, so far from its beginning (NFT_REG32_01, NFT_REG32_04)
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_META_PRIORITY, _META_IIF, _META_OIF, _META_SKUID, _META_NFPROTO, _META_L4PROTO = 2, 4, 5, 10, 15, 16
_LOOPBACK = struct.pack("=I", 1)  # LOOPBACK_IFINDEX: lo is the first interface of every network namespace
_CT_ZONE = 17
_EQUAL, _DIFFERENT = 0, 1
_DROP, _RETURN = 0, -5


def attribute(kind: int, value: bytes) -> bytes:
    """One netlink attribute, padded."""
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def nested(kind: int, *parts: bytes) -> bytes:
    return attribute(kind | 0x8000, b"".join(parts))


def big_endian(number: int) -> bytes:
    return struct.pack(">I", number & 0xFFFFFFFF)


def text(value: str) -> bytes:
    return value.encode() + b"\0"


def tcp() -> bytes:
    return _meta(_META_L4PROTO) + equals(b"\x06")


def udp() -> bytes:
    return _meta(_META_L4PROTO) + equals(b"\x11")


def ipv4() -> bytes:
    return _meta(_META_NFPROTO) + equals(b"\x02")


def ipv6() -> bytes:
    return _meta(_META_NFPROTO) + equals(b"\x0a")


def to_port(port: int) -> bytes:
    """After tcp() or udp()."""
    return _destination_port() + equals(struct.pack(">H", port))


def to_port_in(name: str) -> bytes:
    """After tcp() or udp()."""
    return _destination_port() + _looked_up(name)


def to_ipv4_in(name: str) -> bytes:
    return ipv4() + _payload(_NETWORK_HEADER, 16, 4) + _looked_up(name)


def to_ipv6_in(name: str) -> bytes:
    return ipv6() + _payload(_NETWORK_HEADER, 24, 16) + _looked_up(name)


def to_ipv4_place_in(name: str) -> bytes:
    """An address with a port. After tcp() or udp()."""
    return ipv4() + _payload(_NETWORK_HEADER, 16, 4) + _destination_port(_AFTER_4) + _looked_up(name)


def to_ipv6_place_in(name: str) -> bytes:
    return ipv6() + _payload(_NETWORK_HEADER, 24, 16) + _destination_port(_AFTER_16) + _looked_up(name)


def to_ipv4_network(address: bytes, bits: int) -> bytes:
    mask = struct.pack(">I", 0xFFFFFFFF << (32 - bits) & 0xFFFFFFFF)
    masked = _expression(
        "bitwise",
        _in(1),
        _in(2),
        attribute(3, big_endian(4)),
        nested(4, attribute(1, mask)),
        nested(5, attribute(1, b"\0" * 4)),
    )
    return ipv4() + _payload(_NETWORK_HEADER, 16, 4) + masked + equals(address)


def by_loopback() -> bytes:
    """On its way out, to an address of this machine: also to one that is not 127.0.0.1."""
    return _meta(_META_OIF) + equals(_LOOPBACK)


def from_elsewhere() -> bytes:
    """Has come in, and not by loopback."""
    return _meta(_META_IIF) + differs(_LOOPBACK)


def to_this_machine() -> bytes:
    """To an address of this network namespace, rather than through it."""
    kind = _expression("fib", _in(1), attribute(2, big_endian(3)), attribute(3, big_endian(2)))  # ADDRTYPE of DADDR
    return kind + equals(struct.pack("=I", 2))  # RTN_LOCAL


def of_user_outside(name: str) -> bytes:
    """The sending process's user is not in the set `name`. A packet that no process sends does not match."""
    return _meta(_META_SKUID) + _looked_up(name, inverted=True)


def of_cgroup(identifier: int, level: int) -> bytes:
    """The sending socket was made in this cgroup v2 or below. level: how deep the cgroup is; 1 is right below the root."""
    loaded = _expression(
        "socket", attribute(1, big_endian(3)), attribute(2, big_endian(_REGISTER)), attribute(3, big_endian(level))
    )
    return loaded + equals(struct.pack("=Q", identifier))


def has_priority(value: int) -> bytes:
    return _meta(_META_PRIORITY) + equals(struct.pack("=I", value))


def set_priority(value: int) -> bytes:
    """The packet's traffic class (tc(8)), which travels with it from chain to chain."""
    return _immediate(struct.pack("=I", value)) + _expression(
        "meta", attribute(3, big_endian(_REGISTER)), attribute(2, big_endian(_META_PRIORITY))
    )


def in_zone(zone: int) -> bytes:
    """What this packet begins is known to connection tracking apart from all that has another zone, but for the answers.

    For a packet that is not tracked yet: before priority -200. Answers are found by where they come from, as any.
    """
    at = attribute(2, big_endian(_CT_ZONE)) + attribute(3, b"\0")  # the direction IP_CT_DIR_ORIGINAL
    return _immediate(struct.pack("=H", zone)) + _expression("ct", at, attribute(4, big_endian(_REGISTER)))


def redirect_to(port: int) -> bytes:
    """To this port of 127.0.0.1 or ::1 in the output hook; of the interface's own address where a packet comes in."""
    return _immediate(struct.pack(">H", port)) + _expression("redir", _in(1))


def leave() -> bytes:
    """Ends the chain for this packet; it goes its way."""
    return _verdict(_RETURN)


def drop() -> bytes:
    return _verdict(_DROP)


def equals(value: bytes) -> bytes:
    return _compared(_EQUAL, value)


def differs(value: bytes) -> bytes:
    return _compared(_DIFFERENT, value)


def _expression(name: str, *attributes: bytes) -> bytes:
    return nested(1, attribute(1, text(name)), nested(2, *attributes))


def _in(kind: int) -> bytes:
    return attribute(kind, big_endian(_REGISTER))


def _meta(key: int) -> bytes:
    return _expression("meta", _in(1), attribute(2, big_endian(key)))


def _payload(base: int, offset: int, length: int, register: int = _REGISTER) -> bytes:
    where = (attribute(kind, big_endian(number)) for kind, number in ((2, base), (3, offset), (4, length)))
    return _expression("payload", attribute(1, big_endian(register)), *where)


def _destination_port(register: int = _REGISTER) -> bytes:
    return _payload(_TRANSPORT_HEADER, 2, 2, register)


def _compared(operation: int, value: bytes) -> bytes:
    return _expression("cmp", _in(1), attribute(2, big_endian(operation)), nested(3, attribute(1, value)))


def _looked_up(name: str, *, inverted: bool = False) -> bytes:
    flags = attribute(5, big_endian(1)) if inverted else b""
    return _expression("lookup", attribute(1, text(name)), _in(2), flags)


def _immediate(value: bytes) -> bytes:
    return _expression("immediate", _in(1), nested(2, attribute(1, value)))


def _verdict(code: int) -> bytes:
    return _expression("immediate", attribute(1, big_endian(0)), nested(2, nested(2, attribute(1, big_endian(code)))))
