"""`forbid.py SYSCALL... -- COMMAND...` runs the command under a filter that makes system calls fail with EPERM.

As the default of a container without privileges: `unshare` covers setns and clone of namespaces as well (clone3 does
not exist then, since a filter can't see into its argument).
"""

import ctypes
import os
import platform
import struct
import sys

NUMBERS = {
    "x86_64": {"seccomp": 317, "unshare": 272, "setns": 308, "clone": 56, "clone3": 435},
    "aarch64": {"seccomp": 277, "unshare": 97, "setns": 268, "clone": 220, "clone3": 435},
}[platform.machine()]
LOAD, JUMP_EQUAL, JUMP_SET, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, ERROR = 0x7FFF0000, 0x00050000
EPERM, ENOSYS = 1, 38
NEW_NAMESPACES = 0x7E020000  # sched.h, CLONE_NEW*

dashes = sys.argv.index("--")
program = [(LOAD, 0, 0, 0)]
for name in sys.argv[1:dashes]:
    for denied in ("unshare", "setns") if name == "unshare" else (name,):
        program += [(JUMP_EQUAL, 0, 1, NUMBERS[denied]), (RETURN, 0, 0, ERROR | EPERM)]
    if name == "unshare":
        program += [(JUMP_EQUAL, 0, 1, NUMBERS["clone3"]), (RETURN, 0, 0, ERROR | ENOSYS)]
        program += [(JUMP_EQUAL, 0, 4, NUMBERS["clone"]), (LOAD, 0, 0, 16)]
        program += [(JUMP_SET, 0, 1, NEW_NAMESPACES), (RETURN, 0, 0, ERROR | EPERM), (LOAD, 0, 0, 0)]
program += [(RETURN, 0, 0, ALLOW)]
code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
buffer = ctypes.create_string_buffer(code)
filter_ = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
if os.geteuid() != 0:
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
if libc.prctl(22, 2, filter_, 0, 0) != 0:  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
    raise OSError(ctypes.get_errno(), "the filter")
os.execvp(sys.argv[dashes + 1], sys.argv[dashes + 1 :])
