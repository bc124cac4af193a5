"""Becomes a command that ends when `tulle dev` does, however that went: `python -I -S guard.py PARENT FILE ARGUMENT...`.

The kernel sends SIGTERM when the thread that has forked this process is gone (prctl(2), PR_SET_PDEATHSIG), and keeps
that over exec. With SIGTERM, not SIGKILL, `tulle run` still ends its program in good order, and within its bounds.
A wrapper, because code between fork and exec is not safe where there are threads (subprocess, `preexec_fn`).
"""

import ctypes
import os
import signal
import sys

_SET_PDEATHSIG = 1


def main(parent: int, argv: list[str]) -> None:
    """Does not return."""
    ctypes.CDLL(None).prctl(_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:  # it ended before the call
        sys.exit(1)
    os.execv(argv[0], argv)  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
