"""Makes one TCP socket as another was made: for the socket that takes the place of a program's own, before it listens.

All options of socket(7), tcp(7), ip(7) and ipv6(7) that can be read and that mean something for a listener or are handed
on to what it accepts. Not among them, for they can't be read or mean an interface: SO_BINDTODEVICE, SO_ATTACH_* (BPF),
TCP_MD5SIG and TCP_FASTOPEN_KEY.
Cheap to import, see linux.py.
"""

# ruff: noqa: SIM105
# contextlib would cost memory for as long as the program runs.

from __future__ import annotations

import _socket
import os
import sys

_SOCKET, _TCP, _IP, _IPV6 = _socket.SOL_SOCKET, _socket.IPPROTO_TCP, _socket.IPPROTO_IP, _socket.IPPROTO_IPV6
# asm-generic/socket.h, linux/tcp.h, linux/in.h, linux/in6.h: not all have names in Python.
_OPTIONS = (
    # REUSEADDR DONTROUTE KEEPALIVE OOBINLINE PRIORITY LINGER REUSEPORT RCVLOWAT RCVTIMEO SNDTIMEO TIMESTAMP TIMESTAMPNS MARK
    # BUSY_POLL MAX_PACING_RATE INCOMING_CPU ZEROCOPY TXTIME PREFER_BUSY_POLL RESERVE_MEM TXREHASH
    (_SOCKET, (2, 5, 9, 10, 12, 13, 15, 18, 20, 21, 29, 35, 36, 46, 47, 49, 60, 61, 69, 73, 74)),
    # NODELAY MAXSEG CORK KEEPIDLE KEEPINTVL KEEPCNT SYNCNT LINGER2 DEFER_ACCEPT WINDOW_CLAMP QUICKACK CONGESTION
    # THIN_LINEAR_TIMEOUTS THIN_DUPACK USER_TIMEOUT FASTOPEN TIMESTAMP NOTSENT_LOWAT SAVE_SYN FASTOPEN_CONNECT
    # FASTOPEN_NO_COOKIE INQ TX_DELAY
    (_TCP, (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 16, 17, 18, 23, 24, 25, 27, 30, 34, 36, 37)),
    # TOS TTL PKTINFO MTU_DISCOVER RECVERR RECVTTL RECVTOS FREEBIND TRANSPARENT RECVORIGDSTADDR MINTTL BIND_ADDRESS_NO_PORT
    # LOCAL_PORT_RANGE
    (_IP, (1, 2, 8, 10, 11, 12, 13, 15, 19, 20, 21, 24, 51)),
    # UNICAST_HOPS MTU_DISCOVER RECVERR V6ONLY RECVPKTINFO RECVHOPLIMIT DONTFRAG RECVTCLASS TCLASS AUTOFLOWLABEL
    # ADDR_PREFERENCES MINHOPCOUNT RECVORIGDSTADDR TRANSPARENT FREEBIND
    (_IPV6, (16, 23, 25, 26, 49, 51, 62, 66, 67, 70, 72, 73, 74, 75, 78)),
)
_BUFFERS = (_socket.SO_RCVBUF, _socket.SO_SNDBUF)
_LARGEST = 32  # bytes: a name of TCP_CONGESTION has 16


def copy_options(old: _socket.socket, new: _socket.socket) -> None:
    """Sets on `new` what is set on `old`, and whether it blocks. What is as it was made stays so, on both."""
    for level, names in _OPTIONS:
        for name in names:
            value = _value(old, level, name)
            if value is not None and value != _value(new, level, name):
                _set(new, level, name, value)
    if not os.get_blocking(old.fileno()):
        new.setblocking(False)
    for name in _BUFFERS:
        size = old.getsockopt(_SOCKET, name)
        if size != new.getsockopt(_SOCKET, name):
            # It tells twice of what was set (socket(7)); once set, a buffer does not grow by itself any more.
            _set(new, _SOCKET, name, (size // 2).to_bytes(4, sys.byteorder))


def _value(of: _socket.socket, level: int, name: int) -> bytes | None:
    """None where the kernel or the socket's family does not know the option."""
    try:
        return of.getsockopt(level, name, _LARGEST)
    except OSError:
        return None


def _set(on: _socket.socket, level: int, name: int, value: bytes) -> None:
    try:
        on.setsockopt(level, name, value)
    except OSError:  # one that can be told but not set on a socket of this kind
        pass
