"""Socket addresses as the kernel has them: bytes. What of them the mesh cares about, and the addresses it puts in place.

Not the library's ipaddress: a call of the program waits while this is asked, and the reaper pays for every import.
An IPv4 address inside an IPv6 one (::ffff:a.b.c.d) is that IPv4 address here, for so the kernel treats it.
"""

from __future__ import annotations

import _socket
import struct

AF_UNIX, AF_INET, AF_INET6 = _socket.AF_UNIX, _socket.AF_INET, _socket.AF_INET6
LOOPBACK = b"\x7f\0\0\x01"
LOOPBACK_6 = bytes(15) + b"\x01"
_MAPPED = bytes(10) + b"\xff\xff"
_WILDCARDS = (bytes(4), bytes(16))


def parsed(raw: bytes) -> tuple[int, bytes, int] | None:
    """Family, address (4 or 16 bytes) and port of a sockaddr; None if it is not of IP or too short."""
    family = raw[0] | raw[1] << 8 if len(raw) >= 16 else 0
    if family == AF_INET:
        return family, raw[4:8], raw[2] << 8 | raw[3]
    if family == AF_INET6 and len(raw) >= 24:
        address = raw[8:24]
        return family, address[12:] if address[:12] == _MAPPED else address, raw[2] << 8 | raw[3]
    return None


def unix_path(raw: bytes) -> bytes | None:
    """The path of a sockaddr_un; None if it is none."""
    if len(raw) < 3 or raw[0] | raw[1] << 8 != AF_UNIX:
        return None
    return raw[2:].partition(b"\0")[0]


def sockaddr(family: int, address: bytes, port: int) -> bytes:
    """For a socket of this family, which may be IPv6 with an IPv4 address."""
    if family == AF_INET:
        return struct.pack("=H2s4s8x", AF_INET, port.to_bytes(2, "big"), address)
    if len(address) == 4:
        address = _MAPPED + address
    return struct.pack("=H2s4x16s4x", AF_INET6, port.to_bytes(2, "big"), address)


def is_vip(address: bytes) -> bool:
    """Whether it lies in 127.64.0.0/10."""
    return len(address) == 4 and address[0] == 127 and address[1] & 0xC0 == 0x40


def is_loopback(address: bytes) -> bool:
    return address[0] == 127 if len(address) == 4 else address == LOOPBACK_6


def is_wildcard(address: bytes) -> bool:
    """0.0.0.0 or ::, which as a destination is this machine as well."""
    return address in _WILDCARDS


def from_text(text: str) -> bytes | None:
    """As in resolv.conf(5), maybe with a scope (fe80::1%eth0); None if it is no address."""
    host = text.partition("%")[0]
    for family in (AF_INET, AF_INET6):
        try:
            address = _socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        return address[12:] if address[:12] == _MAPPED else address
    return None


def proxy_header(source: bytes, source_port: int, destination: bytes, port: int) -> bytes:
    """Version 2 of haproxy's PROXY protocol (doc/proxy-protocol.txt, 2.2): TCP over IPv4."""
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + struct.pack(">4s4sHH", source, destination, source_port, port)
