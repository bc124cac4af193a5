"""Supervising system calls: seccomp's user notification (seccomp_unotify(2)), its filter and its messages.

A child installs a filter on itself and hands the listener to its parent; from then on a call that the filter names
stands still, in the child and all its descendants, until the parent has answered it. What the answers are is their
users' (seccomp_calls.py, netns_binds.py). Cheap to import, see linux.py: `typing` alone would be 1.4 MB.

What is read of the caller may be another's: a process that was killed leaves its number, which is given out anew. So
`still_waits` is to be asked after the last thing was read and before something is done. As long as it says yes, the
caller stood in its call all the time, and neither its number nor its table of files was another's.

Descriptors come close-on-exec from the kernel; one filter of a chain only may have a listener (EBUSY), so a program that
wants one of its own (a container engine) can't have it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Iterable, Mapping

from tulle.agent.capture.linux import set_no_new_privileges, system_call
from tulle.agent.libc import checked, libc

_SET_MODE_FILTER, _NEW_LISTENER, _WAIT_KILLABLE_RECV = 1, 8, 32
_CONTINUE, _SETFD = 1, 1
_ALLOW, _NOTIFY, _ERROR = 0x7FFF0000, 0x7FC00000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # linux/bpf_common.h
_SYS_CONNECT = 3  # linux/net.h
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16  # struct seccomp_data
_X32 = 0x40000000  # a bit in the number of a call of the x32 ABI, which has the architecture of x86_64
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_ADDED = struct.Struct("=QIIII")
_ZEROS = bytes(_NOTIFICATION.size)


class Machine:
    """The numbers of a machine type (asm/unistd.h, linux/audit.h); `compat`: of 32-bit programs on it."""

    def __init__(
        self, architecture: int, compat: int, seccomp: int, calls: Mapping[str, int], compat_calls: Mapping[str, int]
    ) -> None:
        self.architecture = architecture
        self.compat = compat
        self.seccomp = seccomp
        self.calls = calls
        self.compat_calls = compat_calls


_NAMES = ("connect", "sendto", "sendmsg", "bind", "listen", "sendmmsg", "io_uring_setup")
MACHINES = {
    "x86_64": Machine(
        *(0xC000003E, 0x40000003, 317),
        dict(zip(_NAMES, (42, 44, 46, 49, 50, 307, 425), strict=True)),
        {"connect": 362, "socketcall": 102},
    ),
    "aarch64": Machine(
        *(0xC00000B7, 0x40000028, 277),
        dict(zip(_NAMES, (203, 206, 211, 200, 201, 269, 425), strict=True)),
        {"connect": 283},
    ),
}


def machine() -> Machine | None:
    """What is known of this machine's type; None if nothing is."""
    return MACHINES.get(os.uname().machine)


class Notification:
    """A call that waits for its answer. `thread` is the caller's number in this process's namespace."""

    __slots__ = ("architecture", "arguments", "call", "id", "thread")

    def __init__(self, id_: int, thread: int, call: int, architecture: int, arguments: tuple[int, ...]) -> None:
        self.id = id_
        self.thread = thread
        self.call = call
        self.architecture = architecture
        self.arguments = arguments


def build_filter(
    machine: Machine,
    notify: Iterable[str],
    notify_if: Mapping[str, tuple[int, int]] | None = None,
    errors: Mapping[str, int] | None = None,
    notify_compat: bool = False,
) -> bytes:
    """A program of classic BPF: which calls wait for an answer, which fail with an errno; all others run.

    `notify_if` names calls that wait only if an argument (its number) has one of some bits (of the lower 32).

    A call of x32 fails with ENOSYS, as it does where the kernel has no x32: so is there no second set of numbers to go
    round this by.
    """
    own = [_step(_LOAD, _NUMBER_AT)]
    if machine is MACHINES["x86_64"]:
        own += [_step(_AT_LEAST, _X32, no=1), _step(_RETURN, _ERROR | errno.ENOSYS)]
    own += _returns(machine.calls, notify, _NOTIFY)
    for name, error in (errors or {}).items():
        own += _returns(machine.calls, (name,), _ERROR | error)
    for name, (argument, bits) in (notify_if or {}).items():
        own += [
            _step(_EQUAL, machine.calls[name], no=4),
            _step(_LOAD, _ARGUMENTS_AT + 8 * argument),  # little-endian, as both machine types are
            _step(_ANY_BIT, bits, no=1),
            _step(_RETURN, _NOTIFY),
            _step(_RETURN, _ALLOW),
        ]
    own.append(_step(_RETURN, _ALLOW))
    other = [*(_compat_connects(machine) if notify_compat else ()), _step(_RETURN, _ALLOW)]
    return b"".join([_step(_LOAD, _ARCHITECTURE_AT), _step(_EQUAL, machine.architecture, yes=len(other)), *other, *own])


def install_filter(machine: Machine, program: bytes) -> int:
    """Puts this thread and all that it starts under the filter, for ever; its listener. Raises OSError."""
    set_no_new_privileges()
    room = ctypes.create_string_buffer(program, len(program))
    head = _Program(len(program) // 8, ctypes.addressof(room))
    try:
        # So that no signal ends a call that was taken up already, which would then be made twice. Since 5.19.
        return system_call(
            *(machine.seccomp, _SET_MODE_FILTER, _NEW_LISTENER | _WAIT_KILLABLE_RECV, ctypes.addressof(head))
        )
    except OSError as error:
        if error.errno != errno.EINVAL:  # it does not know the flag
            raise
        return system_call(machine.seccomp, _SET_MODE_FILTER, _NEW_LISTENER, ctypes.addressof(head))


def signals_wait(machine: Machine) -> bool:
    """Whether a call that was received goes on until it is answered, whatever signal comes: from Linux 5.19 on.

    If not, it ends when one comes, and may come again (SA_RESTART, signal(7)). It may even do so after an answer that
    seemed to have arrived.
    """
    try:
        system_call(machine.seccomp, _SET_MODE_FILTER, _NEW_LISTENER | _WAIT_KILLABLE_RECV, 0)
    except OSError as error:
        return error.errno == errno.EFAULT  # so the flags are known (seccomp(2), NOTES)
    return True


class Listener:
    """The supervisor's end. Readable (poll) when a call waits; hung up when nobody is left under the filter."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._room = bytearray(_NOTIFICATION.size)

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        os.close(self._descriptor)

    def receive(self) -> Notification | None:
        """The next call that waits; None if its caller is gone already. Blocks unless poll says that one is there."""
        self._room[:] = _ZEROS  # or EINVAL
        try:
            fcntl.ioctl(self._descriptor, _RECEIVE_REQUEST, self._room)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):  # at a signal poll says it again
                return None
            raise
        id_, thread, _, call, architecture, _, *arguments = _NOTIFICATION.unpack(self._room)
        return Notification(id_, thread, call, architecture, tuple(arguments))

    def still_waits(self, id_: int) -> bool:
        """Whether the caller stands in its call yet. If so, what was read of it up to now was really the caller's."""
        try:
            fcntl.ioctl(self._descriptor, _VALID_REQUEST, id_.to_bytes(8, "little"))
        except OSError:
            return False
        return True

    def answer(self, id_: int, value: int = 0) -> bool:
        """Has the call return `value`. False if the caller is gone."""
        return self._send(id_, value, 0, 0)

    def fail(self, id_: int, error: int) -> bool:
        """Has the call fail with this errno. False if the caller is gone."""
        return self._send(id_, 0, -error, 0)

    def let_run(self, id_: int) -> bool:
        """Has the kernel do the call as if nobody had looked. It reads the arguments once more: see seccomp_calls.py."""
        return self._send(id_, 0, 0, _CONTINUE)

    def put_descriptor(self, id_: int, descriptor: int, replaces: int | None = None, *, on_exec: bool = False) -> int:
        """Gives the caller a duplicate of our descriptor, in place of one of its own if named; its number there.

        Kept over exec if `on_exec`. The call waits on. Raises OSError: ENOENT if the caller is gone.
        """
        flags = 0 if replaces is None else _SETFD
        added = _ADDED.pack(id_, flags, descriptor, replaces or 0, 0 if on_exec else os.O_CLOEXEC)
        return checked(libc.ioctl(self._descriptor, ctypes.c_ulong(_ADD_REQUEST), ctypes.c_char_p(added)))

    def _send(self, id_: int, value: int, error: int, flags: int) -> bool:
        try:
            fcntl.ioctl(self._descriptor, _SEND_REQUEST, bytearray(_ANSWER.pack(id_, value, error, flags)))
        except OSError as failure:
            if failure.errno == errno.ENOENT:  # it was killed, or a signal has ended its call
                return False
            raise
        return True


class _Program(ctypes.Structure):  # struct sock_fprog
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _step(code: int, operand: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, operand)


def _returns(calls: Mapping[str, int], names: Iterable[str], result: int) -> list[bytes]:
    return [part for name in names for part in (_step(_EQUAL, calls[name], no=1), _step(_RETURN, result))]


def _compat_connects(machine: Machine) -> list[bytes]:
    """By connect(2) or, as an older libc does, by socketcall(2), whose first argument tells which call is meant."""
    steps = _returns(machine.compat_calls, ("connect",), _NOTIFY)
    if "socketcall" in machine.compat_calls:
        steps += [
            _step(_EQUAL, machine.compat_calls["socketcall"], no=3),
            _step(_LOAD, _ARGUMENTS_AT),
            _step(_EQUAL, _SYS_CONNECT, no=1),
            _step(_RETURN, _NOTIFY),
        ]
    return [_step(_EQUAL, machine.compat, no=len(steps) + 1), _step(_LOAD, _NUMBER_AT), *steps]


def _request(direction: int, number: int, size: int) -> int:  # _IOC of asm-generic/ioctl.h, with seccomp's '!'
    return direction << 30 | size << 16 | 0x21 << 8 | number


_RECEIVE_REQUEST = _request(3, 0, _NOTIFICATION.size)
_SEND_REQUEST = _request(3, 1, _ANSWER.size)
_VALID_REQUEST = _request(1, 2, 8)
_ADD_REQUEST = _request(1, 3, _ADDED.size)
