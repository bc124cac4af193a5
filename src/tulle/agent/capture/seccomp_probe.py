"""Tries whether this machine allows calls to be supervised, and says in the user's words why not.

A child puts itself under a filter and makes two calls, which are answered as the mode would: one by us, one by the
kernel. Kernels from 5.6 on can do it all; containers may forbid it, and Yama (ptrace_scope) may forbid to look into even
one's own children.
"""

from __future__ import annotations

import _socket
import errno
import os
import select
import signal
from pathlib import Path

from tulle.agent.capture.linux import duplicate_of, read_memory, receive_descriptor, send_descriptor
from tulle.agent.capture.mode import Unavailable
from tulle.agent.capture.notify import Listener, Machine, Notification, build_filter, install_filter, machine
from tulle.agent.descendants import die_with_parent

_SECONDS = 5
_NOBODY = ("127.64.0.1", 9)
_ANSWER = errno.ENOTTY  # one that no kernel would give to a connect
_YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")


def probe() -> None:
    """Raises Unavailable."""
    known = machine()
    if known is None:
        raise Unavailable(f"tulle does not know the system calls of {os.uname().machine}")
    here, childs = _socket.socketpair()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        _be_supervised(known, childs, parent)
    ended = False
    try:
        childs.close()
        listener = _listener(here)
        if listener:
            try:
                _supervise(listener)
            finally:
                listener.close()
        ended = True
    finally:
        here.close()
        if not ended:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if code := os.waitstatus_to_exitcode(status):
        raise Unavailable(_why_no_filter(code))


def _be_supervised(known: Machine, handing: _socket.socket, parent: int) -> None:
    """In the child. Its exit code is an errno, or 0 if both calls went as they should."""
    code = errno.EIO
    try:
        signal.alarm(_SECONDS)
        die_with_parent(parent)
        send_descriptor(handing, install_filter(known, build_filter(known, ("connect",))))
        # Of UDP, so that nothing is sent: where a firewall drops what goes to the mesh's addresses, TCP would hang.
        sock = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
        went = (sock.connect_ex(_NOBODY), sock.connect_ex(_NOBODY))
        code = 0 if went[0] == _ANSWER and went[1] != _ANSWER else errno.ENOSYS
    except OSError as error:
        code = error.errno or code
    finally:
        os._exit(code)


def _listener(here: _socket.socket) -> Listener | None:
    """None if the child could not install its filter."""
    try:
        return Listener(receive_descriptor(here))
    except EOFError:
        return None


def _supervise(listener: Listener) -> None:
    """Answers the child's two calls."""
    call = _next_call(listener)
    try:
        read_memory(call.thread, call.arguments[1], 16)
        os.close(duplicate_of(call.thread, call.arguments[0]))
    except OSError as error:
        raise Unavailable(_why_no_look(error)) from error
    listener.fail(call.id, _ANSWER)
    listener.let_run(_next_call(listener).id)


def _next_call(listener: Listener) -> Notification:
    waiting = select.poll()
    waiting.register(listener.fileno(), select.POLLIN)
    if waiting.poll(_SECONDS * 1000) and (call := listener.receive()):
        return call
    raise Unavailable("the kernel does not tell of supervised calls")


def _why_no_filter(code: int) -> str:
    if code == errno.EBUSY:
        return "another supervisor of this kind is around already (`tulle run` inside of `tulle run`, for instance)"
    if code in (errno.EPERM, errno.EACCES):
        return "seccomp filters are forbidden here (a container's profile, perhaps)"
    if code in (errno.ENOSYS, errno.EINVAL):
        return f"the kernel ({os.uname().release}) can't have calls supervised; Linux 5.6 and later can"
    return f"supervising a call failed: {os.strerror(code) if code > 0 else f'signal {-code}'}"


def _why_no_look(error: OSError) -> str:
    if error.errno == errno.ENOSYS:
        return (
            f"the kernel ({os.uname().release}) can't take over a socket; Linux 5.6 and later can, containers forbid it"
        )
    scope = _YAMA.read_text().strip() if _YAMA.exists() else "0"
    if scope not in ("0", "1"):
        return f"kernel.yama.ptrace_scope is {scope}: one's own processes can't be looked into; with 1 they can"
    return f"one's own processes can't be looked into here: {error.strerror}"
