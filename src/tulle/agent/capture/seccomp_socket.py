"""Calls on a duplicate of the program's socket, by descriptor and with addresses as bytes.

They return an errno, 0 for none, and never raise: what the kernel says is what the program is to hear. No object of
Python's is made for a socket that is the program's, since that would ask the kernel three things first and might set
its blocking mode.
"""

from __future__ import annotations

import _socket
import ctypes
import fcntl
import os

from tulle.agent.capture.seccomp_address import parsed
from tulle.agent.libc import libc

TCP, MPTCP = 6, 262
_SOL_IPV6, _V6ONLY = 41, 26
_FASTOPEN_CONNECT, _FASTOPEN_NO_COOKIE = 30, 34
_BIND_TO_DEVICE = 25
_QUIETLY = _socket.MSG_NOSIGNAL | _socket.MSG_DONTWAIT

_libc_connect, _libc_bind = libc.connect, libc.bind
_libc_getsockopt, _libc_setsockopt, _libc_getsockname = libc.getsockopt, libc.setsockopt, libc.getsockname
_libc_send = libc.sendto
_libc_send.restype = ctypes.c_ssize_t
_libc_send.argtypes = (
    *(ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int),
    *(ctypes.c_char_p, ctypes.c_uint),
)
_value, _length = ctypes.c_int(), ctypes.c_uint()
_value_there, _length_there = ctypes.byref(_value), ctypes.byref(_length)
_room = ctypes.create_string_buffer(128)


def connect(descriptor: int, address: bytes) -> int:
    return ctypes.get_errno() if _libc_connect(descriptor, address, len(address)) < 0 else 0


def disconnect(descriptor: int) -> None:
    """Ends a connect that is under way; the socket can be connected anew (connect(2), AF_UNSPEC)."""
    _libc_connect(descriptor, bytes(16), 16)


def bind(descriptor: int, address: bytes) -> int:
    return ctypes.get_errno() if _libc_bind(descriptor, address, len(address)) < 0 else 0


def send(descriptor: int, data: bytes, flags: int = 0, to: bytes | None = None) -> tuple[int, int]:
    """Without waiting; how many bytes were taken, and an errno."""
    sent = _libc_send(descriptor, data, len(data), _QUIETLY | flags, to, len(to) if to else 0)
    return (0, ctypes.get_errno()) if sent < 0 else (sent, 0)


def send_ahead(descriptor: int, data: bytes, to: bytes) -> bool:
    """Connects, with these bytes before all that is sent later. False if the kernel is not set so (tcp_fastopen)."""
    if set_option(descriptor, TCP, _FASTOPEN_NO_COOKIE, 1):
        return False
    return send(descriptor, data, _socket.MSG_FASTOPEN, to)[0] == len(data)


def local_address(descriptor: int) -> tuple[bytes, int]:
    """Its IP address and port; zeros if it has none."""
    _length.value = len(_room)
    if _libc_getsockname(descriptor, _room, _length_there) < 0:
        return bytes(4), 0
    address = parsed(_room.raw[: _length.value])
    return address[1:] if address else (bytes(4), 0)


def speaks_tcp(descriptor: int) -> bool:
    """Or MPTCP, which is TCP to its user. False for a descriptor that is no socket."""
    return _option(descriptor, _socket.SOL_SOCKET, _socket.SO_PROTOCOL) in (TCP, MPTCP)


def is_ipv6_only(descriptor: int) -> bool:
    return _option(descriptor, _SOL_IPV6, _V6ONLY) == 1


def is_bound_to_another_device(descriptor: int) -> bool:
    """SO_BINDTODEVICE with a device from which loopback can't be reached."""
    _length.value = len(_room)
    if _libc_getsockopt(descriptor, _socket.SOL_SOCKET, _BIND_TO_DEVICE, _room, _length_there) < 0:
        return False
    return _length.value > 0 and _room.raw[: _length.value].rstrip(b"\0") != b"lo"


def forget_fast_open(descriptor: int) -> bool:
    """Turns TCP_FASTOPEN_CONNECT off, by which a connect seems to be done before a byte was sent. False if it was off."""
    if _option(descriptor, TCP, _FASTOPEN_CONNECT) != 1:
        return False
    disconnect(descriptor)
    set_option(descriptor, TCP, _FASTOPEN_CONNECT, 0)
    return True


def set_option(descriptor: int, level: int, name: int, value: int) -> int:
    _value.value = value
    done = _libc_setsockopt(descriptor, level, name, _value_there, ctypes.c_uint(4))
    return ctypes.get_errno() if done < 0 else 0


def stop_blocking(descriptor: int) -> int | None:
    """Sets O_NONBLOCK; the flags that it had before, for `restore`, None if they are these."""
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    if flags & os.O_NONBLOCK:
        return None
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    return flags


def restore(descriptor: int, flags: int | None) -> None:
    if flags is not None:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)


def _option(descriptor: int, level: int, name: int) -> int:
    _length.value = 4
    if _libc_getsockopt(descriptor, level, name, _value_there, _length_there) < 0:
        return -1
    return _value.value
