"""The two things that a new network namespace needs before anything can be reached in it: its loopback up, and a route.

By ioctl and rtnetlink(7) in the namespace of the calling thread; no iproute2.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct

_LOOPBACK = 1  # LOOPBACK_IFINDEX: lo is the first interface of every network namespace
_SET_FLAGS, _UP = 0x8914, 0x1  # linux/sockios.h, SIOCSIFFLAGS; net/if.h
_NEW_ROUTE, _ERROR_MESSAGE = 24, 2
_REQUEST, _ACK, _EXCLUSIVE, _CREATE = 0x1, 0x4, 0x200, 0x400
_MAIN_TABLE, _BY_ADMIN, _LOCAL = 254, 4, 2  # linux/rtnetlink.h: RT_TABLE_MAIN, RTPROT_STATIC, RTN_LOCAL
_SCOPE_HOST, _SCOPE_UNIVERSE = 254, 0
_OUTGOING_INTERFACE = 4
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr


def raise_loopback() -> None:
    """Brings lo up, and with it 127.0.0.1/8 and, where the kernel has IPv6, ::1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14s", b"lo", _UP, b""))


def make_everything_local(family: socket.AddressFamily) -> None:
    """Every address of the family belongs to this namespace: `ip route add local default dev lo` ("AnyIP").

    What is sent has a route then, without which it would not even come to netfilter's output hook.
    """
    scope = _SCOPE_HOST if family == socket.AF_INET else _SCOPE_UNIVERSE
    route = struct.pack("=BBBBBBBBI", family, 0, 0, 0, _MAIN_TABLE, _BY_ADMIN, scope, _LOCAL, 0)  # struct rtmsg
    body = route + struct.pack("=HHI", 8, _OUTGOING_INTERFACE, _LOOPBACK)
    flags = _REQUEST | _ACK | _CREATE | _EXCLUSIVE
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.bind((0, 0))
        netlink.send(_HEADER.pack(_HEADER.size + len(body), _NEW_ROUTE, flags, 1, 0) + body)
        answer = netlink.recv(1 << 16)
    kind, error = _HEADER.unpack_from(answer)[1], struct.unpack_from("=i", answer, _HEADER.size)[0]
    if kind != _ERROR_MESSAGE:
        raise OSError(errno.EPROTO, "rtnetlink did not answer as it should")
    if error:
        raise OSError(-error, os.strerror(-error))
