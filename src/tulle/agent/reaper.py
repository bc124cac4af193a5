"""Stands between the agent and the program, and sees to it that nothing of the program outlives the agent.

A parent-death signal reaches direct children only; a daemon that has forked twice has another parent. So this process
is the "subreaper" (prctl(2), PR_SET_CHILD_SUBREAPER) to which every orphan below it is given: it kills its children
until it has none.

It is run by path, `python -I -S reaper.py CONTROL FOLDER FILE ARGV...`, and imports next to nothing: it is there as
long as the program, so its memory counts. CONTROL is its end of a socket pair with the agent; the end of that stream
is the end of it all.
Lines that come in: `start`, `signal N` (to the program), `signal-group N` (to its process group), `envoy PID`.
Lines that go out: `started`, `failed ERRNO`, `exited CODE` (as in subprocess), `empty` (nothing of the program is
left; if that is so when it exits, both lines come at once). Its environment, working directory and standard streams
are the program's.
"""

# ruff: noqa: PTH110, PTH123, PTH208, SIM105
# pathlib and contextlib would cost memory for as long as the program runs.

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time

KILL_SECONDS = 5.0
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36
_libc = ctypes.CDLL(None, use_errno=True)


def main(control: int, folder: str, file: str, argv: list[str]) -> None:
    """Serves the agent until it is gone, then clears up."""
    become_subreaper()
    reaper = _Reaper(control, file, argv)
    try:
        reaper.serve()
    finally:
        reaper.kill_envoy()
        if left := kill_children():
            print(f"tulle | can't end the processes {left}", file=sys.stderr)
        _remove(folder)


def become_subreaper() -> None:
    """From now on orphaned descendants of this process become its children."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """To be called in a new child of `parent`: has the kernel kill it when the parent's thread that forked it ends."""
    _prctl(_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call
        os._exit(1)


def kill_children(*spared: int) -> list[int]:
    """Kills the children of this process, and theirs when they become its own, until there are none but the `spared`.

    Those that are left after KILL_SECONDS: in an uninterruptible wait, or another user's (sudo).
    """
    deadline = time.monotonic() + KILL_SECONDS
    while True:
        children = [child for child in _children() if child not in spared]
        if not children or time.monotonic() > deadline:
            return children
        for child in children:
            try:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, os.WNOHANG)
            except (ProcessLookupError, PermissionError, ChildProcessError):
                pass
        time.sleep(0.002)


class _Reaper:
    def __init__(self, control: int, file: str, argv: list[str]) -> None:
        self._control = control
        self._file = file
        self._argv = argv
        self._program = 0
        self._envoy = -1
        self._rest = b""
        os.set_inheritable(control, False)

    def serve(self) -> None:
        """Returns when the agent's end of the stream is closed."""
        children = _wake_on_child()
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(children, select.POLLIN)
        while True:
            for ready, _ in poll.poll():
                if ready == children:
                    os.read(children, 4096)
                    self._reap()
                elif not self._obey():
                    return

    def kill_envoy(self) -> None:
        """The kernel sees to that as well, but Envoy might change its parent-death signal."""
        if self._envoy >= 0:
            try:
                signal.pidfd_send_signal(self._envoy, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def _obey(self) -> bool:
        try:
            data = os.read(self._control, 4096)
        except ConnectionResetError:  # the agent has gone with something unread
            return False
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            word, _, argument = line.decode().partition(" ")
            if word == "start":
                self._start()
            elif word == "envoy":
                self._watch_envoy(int(argument))
            elif self._program:
                self._signal(word, int(argument))
        return bool(data)

    def _start(self) -> None:
        reading, writing = os.pipe()
        reaper = os.getpid()
        self._program = os.fork()
        if self._program == 0:
            _become(self._file, self._argv, reaper, writing)
        os.close(writing)
        error = os.read(reading, 16)  # empty once exec has closed it
        os.close(reading)
        self._tell(f"failed {error.decode()}" if error else "started")

    def _signal(self, word: str, number: int) -> None:
        try:
            (os.killpg if word == "signal-group" else os.kill)(self._program, number)
        except PermissionError as error:
            print(f"tulle | can't signal the program: {error.strerror}", file=sys.stderr)

    def _reap(self) -> None:
        news = []
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self._program:
                    self._program = 0
                    news.append(f"exited {os.waitstatus_to_exitcode(ended[1])}")
        except ChildProcessError:
            news.append("empty")
        if news:
            self._tell("\n".join(news))

    def _watch_envoy(self, pid: int) -> None:
        if self._envoy >= 0:
            os.close(self._envoy)
        try:
            self._envoy = os.pidfd_open(pid)
        except ProcessLookupError:
            self._envoy = -1

    def _tell(self, line: str) -> None:
        try:
            os.write(self._control, line.encode() + b"\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # the agent has just gone, which the next read tells


def _become(file: str, argv: list[str], reaper: int, errors: int) -> None:
    """In the child: becomes the program, in a session of its own, so that ctrl-C reaches the agent alone."""
    try:
        os.setsid()
        die_with_parent(reaper)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these, which exec would hand on
            signal.signal(number, signal.SIG_DFL)
        os.execv(file, argv)  # noqa: S606
    except OSError as error:
        os.write(errors, str(error.errno).encode())
    finally:
        os._exit(127)


def _wake_on_child() -> int:
    """A descriptor that becomes readable when a child has ended. Signals that would end us are the agent's business."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) != signal.SIG_IGN:  # a handler, unlike SIG_IGN, is not handed on by exec
            signal.signal(number, lambda *_: None)
    return reading


def _children() -> list[int]:
    """Of this process. Not /proc/self/task/*/children, which is not in every kernel."""
    own = str(os.getpid()).encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if fields[1] == own:
                found.append(int(name))
    return found


def _remove(folder: str) -> None:
    import shutil  # only now: it is large

    shutil.rmtree(folder, ignore_errors=True)
    if os.path.exists(folder):
        print(f"tulle | can't remove {folder}", file=sys.stderr)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
