"""Calls of the Linux kernel that Python lacks. What they are for is their callers'.

Also for the reaper, which is there as long as the program: importing this costs next to nothing. That is why the
numbers stand here and `_socket`, not `socket` (560 KB more), passes descriptors.
"""

from __future__ import annotations

import _socket
import ctypes
import os
import sys

from tulle.agent.libc import checked, libc, prctl

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SO_NETNS_COOKIE = 71  # asm-generic/socket.h
_SET_NO_NEW_PRIVS = 38
_PIDFD_OPEN, _PIDFD_GETFD = 434, 438  # the same on every machine type: numbered after 5.1
_PIDFD_THREAD = os.O_EXCL  # pidfd_open(2), since 6.9
_SOL_SOCKET, _SCM_RIGHTS = _socket.SOL_SOCKET, _socket.SCM_RIGHTS

_syscall = libc.syscall
_syscall.restype = ctypes.c_long


class _Span(ctypes.Structure):  # struct iovec
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


_process_vm_readv = libc.process_vm_readv
_process_vm_readv.restype = ctypes.c_ssize_t
_process_vm_readv.argtypes = (
    *(ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong),
    ctypes.c_ulong,
)


_room = ctypes.create_string_buffer(128)
_here, _there = _Span(ctypes.addressof(_room), 0), _Span(0, 0)
_SPANS = (ctypes.addressof(_here), 1, ctypes.addressof(_there), 1, 0)


def system_call(number: int, *arguments: int) -> int:
    """Makes a system call by its number."""
    return checked(_syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)))


def set_no_new_privileges() -> None:
    """From now on this process and its descendants gain nothing by exec: sudo and the like do not work below it.

    The price of a filter without CAP_SYS_ADMIN, see seccomp(2).
    """
    prctl(_SET_NO_NEW_PRIVS, 1)


def unshare(flags: int) -> None:
    """As os.unshare, which is there from Python 3.12."""
    checked(libc.unshare(ctypes.c_int(flags)))


def enter_namespace(descriptor: int, kind: int) -> None:
    """As os.setns, which is there from Python 3.12."""
    checked(libc.setns(ctypes.c_int(descriptor), ctypes.c_int(kind)))


def send_descriptor(through: _socket.socket, descriptor: int) -> None:
    """Hands a duplicate of the descriptor to whoever has the other end of a Unix socket."""
    through.sendmsg([b"+"], [(_SOL_SOCKET, _SCM_RIGHTS, descriptor.to_bytes(4, sys.byteorder))])


def receive_descriptor(through: _socket.socket) -> int:
    """The counterpart. Raises EOFError if the other end was closed and nothing was sent."""
    _, passed, *_ = through.recvmsg(1, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
    for level, kind, data in passed:
        if (level, kind) == (_SOL_SOCKET, _SCM_RIGHTS):
            return int.from_bytes(data[:4], sys.byteorder)
    raise EOFError("the other end was closed and has sent no descriptor")


def read_memory(thread: int, address: int, size: int) -> bytes:
    """Up to `size` bytes of another process's memory; fewer if the rest is not mapped. Raises OSError (EFAULT, EPERM)."""
    if size <= len(_room):  # an address of a socket, mostly: no time for making objects
        _here.size = _there.size = size
        _there.base = address
        got = checked(_process_vm_readv(thread, *_SPANS))
        return _room.raw[:got]
    room = ctypes.create_string_buffer(size)
    here, there = _Span(ctypes.addressof(room), size), _Span(address, size)
    got = _process_vm_readv(thread, ctypes.addressof(here), 1, ctypes.addressof(there), 1, 0)
    return room.raw[: checked(got)]


def duplicate_of(thread: int, descriptor: int) -> int:
    """A duplicate of another process's descriptor: of the same open file, so the same socket with the same flags.

    `thread` may be any thread of it. Raises OSError: EBADF, EPERM, ESRCH.
    """
    process = _open_thread(thread)
    try:
        return system_call(_PIDFD_GETFD, process, descriptor, 0)
    finally:
        os.close(process)


def is_kept_on_exec(thread: int, descriptor: int) -> bool:
    """Whether another process's descriptor stays open when it becomes another program (proc(5), fdinfo)."""
    with open(f"/proc/{thread}/fdinfo/{descriptor}", "rb") as file:  # noqa: PTH123 (pathlib costs memory)
        flags = next(int(line[6:], 8) for line in file if line.startswith(b"flags:"))
    return not flags & os.O_CLOEXEC


def leader_of(thread: int) -> int:
    """The process that a thread belongs to. Raises ProcessLookupError."""
    try:
        with open(f"/proc/{thread}/status", "rb") as file:  # noqa: PTH123 (pathlib costs memory)
            return next(int(line[5:]) for line in file if line.startswith(b"Tgid:"))
    except FileNotFoundError:
        raise ProcessLookupError(f"no thread {thread}") from None


def _open_thread(thread: int) -> int:
    """A pidfd. Before 6.9 there are none of threads, only of whole processes, whose table of files is mostly the same."""
    if _THREADS_HAVE_PIDFDS:
        return system_call(_PIDFD_OPEN, thread, _PIDFD_THREAD)
    try:
        return system_call(_PIDFD_OPEN, thread, 0)
    except OSError:
        return system_call(_PIDFD_OPEN, leader_of(thread), 0)


def _threads_have_pidfds() -> bool:
    try:
        os.close(system_call(_PIDFD_OPEN, os.getpid(), _PIDFD_THREAD))
    except OSError:
        return False
    return True


_THREADS_HAVE_PIDFDS = _threads_have_pidfds()
