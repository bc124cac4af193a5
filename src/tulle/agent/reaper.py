"""Stands between the agent and the program, and sees to it that nothing of the program outlives the agent.

A parent-death signal reaches direct children only; a daemon that has forked twice has another parent. So this process
is the "subreaper" (prctl(2), PR_SET_CHILD_SUBREAPER) to which every orphan below it is given: it kills its children
until it has none.

It is run by path, `python -I -S reaper.py CONTROL FOLDER MODE FILE ARGV...`, and imports next to nothing: it is there as
long as the program, so its memory counts. CONTROL is its end of a socket pair with the agent; the end of that stream is
the end of it all. The first line that comes in is the plan (JSON), which with MODE chooses the launch hook
(`capture/launch.py`); it may hold a secret, and everybody can read a command line.
Further lines that come in: `start` (again, once the program has ended), `canary SECONDS`, `clear` (kills what an ended program
has left), `signal N` (to the program), `signal-group N` (to its process group), `envoy PID` (one more), `keep` (the folder).
Lines that go out: `started PID`, `failed ERRNO exec` or `failed ERRNO capture`, `stopped N` (by a signal of job
control), `exited CODE` (as in subprocess), `empty` (nothing of the program is left; if that is so when it exits, both
lines come at once), `canary ok` or `canary REASON`, and what the launch hook has to tell. Its environment, working
directory and standard streams are the program's.
"""

# ruff: noqa: PTH100, PTH110, PTH120, SIM105
# pathlib and contextlib would cost memory for as long as the program runs.

from __future__ import annotations

import os
import select
import signal
import sys

# No site-packages here; the folder above `tulle` is all that is needed.
sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tulle.agent.capture import launch
from tulle.agent.descendants import become_subreaper, die_with_parent, kill_children

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def main(control: int, folder: str, mode: str, file: str, argv: list[str]) -> None:
    """Serves the agent until it is gone, then clears up."""
    become_subreaper()
    reaper = _Reaper(control, mode, file, argv)
    try:
        reaper.serve()
    finally:
        reaper.kill_envoys()
        if left := kill_children():
            print(f"tulle | can't end the processes {left}", file=sys.stderr)
        reaper.close()
        if not reaper.keeps_folder:
            _remove(folder)


class _Reaper:
    def __init__(self, control: int, mode: str, file: str, argv: list[str]) -> None:
        _hand_nothing_down()
        self.keeps_folder = False
        self._own = os.getpid()
        self._control = control
        self._plan = _first_line(control)
        self._file = file
        self._argv = argv
        self._program = 0
        self._canary = _Canary()
        self._envoys: list[int] = []
        self._rest = b""
        self._launch = launch.Launch()
        self._trouble: OSError | None = None
        try:
            self._launch = _launch(mode, self._plan, self._tell)
        except OSError as error:  # told when something is to be launched
            self._trouble = error

    def serve(self) -> None:
        """Returns when the agent's end of the stream is closed."""
        children = _wake_on_child()
        while True:
            others = self._launch.descriptors()
            poll = select.poll()
            for descriptor in (self._control, children, *others):
                poll.register(descriptor, select.POLLIN)
            for ready, _ in poll.poll():
                if ready == children:
                    os.read(children, 4096)
                    self._reap()
                elif ready in others:
                    others[ready]()
                elif not self._obey():
                    return

    def kill_envoys(self) -> None:
        """The kernel ends them as well, but by SIGTERM, to which Envoy itself changes its parent-death signal."""
        for envoy in self._envoys:
            try:
                signal.pidfd_send_signal(envoy, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def close(self) -> None:
        """Ends the capture, once nothing of the program is left."""
        try:
            self._launch.close()
        except OSError as error:
            print(f"tulle | can't clear up after the capture: {error}", file=sys.stderr)

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
            elif word == "canary":
                self._check(float(argument))
            elif word == "clear":
                self._clear()
            elif word == "envoy":
                self._watch_envoy(int(argument))
            elif word == "keep":
                self.keeps_folder = True
                self._forget_envoys()
            elif self._program:
                self._signal(word, int(argument))
        return bool(data)

    def _start(self) -> None:
        try:
            self._program, reading = self._fork(self._become)
        except OSError as error:
            self._tell(f"failed {error.errno} capture")
            return
        failure = os.read(reading, 64).decode()  # empty once exec has closed it
        os.close(reading)
        if failure:
            os.waitpid(self._program, 0)  # its end is no program's
            self._program = 0
        self._tell(f"failed {failure}" if failure else f"started {self._program}")

    def _check(self, seconds: float) -> None:
        def sing(report: int) -> None:
            from tulle.agent.capture import canary  # only in the child: it needs sockets, and more

            canary.sing(self._plan, seconds, report, self._enter)

        try:
            self._canary.process, self._canary.report = self._fork(sing)
        except OSError as error:
            self._tell(f"canary {error.strerror}")

    def _fork(self, go_on: Callable[[int], None]) -> tuple[int, int]:
        """A child that goes on with that, given the writing end of a pipe; the child, and the pipe's reading end.

        Raises OSError if the capture does not allow it.
        """
        if self._trouble:
            raise self._trouble
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                _stand_apart()
                die_with_parent(self._own)
                go_on(writing)
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(127)
        os.close(writing)
        try:
            self._launch.after_fork(child)
        except OSError:
            os.kill(child, signal.SIGKILL)
            os.close(reading)
            raise
        return child, reading

    def _become(self, errors: int) -> None:
        """In the child: becomes the program."""
        step = "capture"
        try:
            self._enter()
            self._limit_open_files()  # last, for a mode may raise it for itself
            # Python ignores these, the agent the last, and exec would hand that on.
            for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTTOU):
                signal.signal(number, signal.SIG_DFL)
            step = "exec"
            os.execv(self._file, self._argv)  # noqa: S606
        except BaseException as error:
            os.write(errors, f"{getattr(error, 'errno', None) or 0} {step}".encode())
            if not isinstance(error, OSError):
                raise

    def _limit_open_files(self) -> None:
        """In the child: to what the user had, which the agent has raised for itself."""
        import json  # these are for the child alone

        from tulle.agent.limits import limit_open_files

        if (soft := json.loads(self._plan).get("open_files")) is not None:
            limit_open_files(soft)

    def _enter(self) -> None:
        """In the child: from here on its traffic is captured."""
        self._launch.in_child()
        die_with_parent(self._own)  # a change of credentials undoes it (prctl(2))

    def _signal(self, word: str, number: int) -> None:
        try:
            if word == "signal-group" and os.getpgid(self._program) == self._program:
                os.killpg(self._program, number)
            else:  # for it alone, or it has left the group that was made for it
                os.kill(self._program, number)
        except PermissionError as error:
            print(f"tulle | can't signal the program: {error.strerror}", file=sys.stderr)

    def _clear(self) -> None:
        """Kills what is left of a program that has ended, daemons of it for instance."""
        if not self._program:
            if left := kill_children():
                self._tell(f"note can't end the processes {left}")
            self._reap()

    def _reap(self) -> None:
        news = []
        try:
            while (ended := os.waitpid(-1, os.WNOHANG | os.WUNTRACED))[0]:
                child, status = ended
                if child == self._canary.process:
                    news.append(f"canary {self._canary.result(status)}")
                elif child == self._program and os.WIFSTOPPED(status):
                    news.append(f"stopped {os.WSTOPSIG(status)}")
                elif child == self._program:
                    self._program = 0
                    news.append(f"exited {os.waitstatus_to_exitcode(status)}")
        except ChildProcessError:
            news.append("empty")
        if news:
            self._tell("\n".join(news))

    def _watch_envoy(self, pid: int) -> None:
        """There may be two, while one takes over from the other."""
        self._forget_envoys(select.select(self._envoys, [], [], 0)[0])  # those that have ended (pidfd_open(2))
        try:
            self._envoys.append(os.pidfd_open(pid))
        except ProcessLookupError:
            pass

    def _forget_envoys(self, which: list[int] | None = None) -> None:
        """All, if it is not said which."""
        for envoy in self._envoys[:] if which is None else which:
            self._envoys.remove(envoy)
            os.close(envoy)

    def _tell(self, line: str) -> None:
        try:
            os.write(self._control, line.encode() + b"\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # the agent has just gone, which the next read tells


class _Canary:
    """The child that tries the way into the mesh (`capture/canary.py`); 0 and -1 while there is none."""

    process, report = 0, -1

    def result(self, status: int) -> str:
        """Of the ended child: `ok`, or what went wrong."""
        os.set_blocking(self.report, False)  # something that it has started may still hold the other end
        try:
            said = os.read(self.report, 4096).decode().splitlines()
        except BlockingIOError:
            said = []
        os.close(self.report)
        self.process, self.report = 0, -1
        last = said[-1] if said else "starting the check"
        code = os.waitstatus_to_exitcode(status)
        if code == -signal.SIGALRM:
            return f"no end in time of {last}"
        return last if code == 0 else f"{last} ended with {code}"


def _hand_nothing_down() -> None:
    """What this process was given, the agent's folder with its lock too, is not the program's."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        if int(name) > 2:
            try:
                os.set_inheritable(int(name), False)
            except OSError:  # the one by which the list was read
                pass


def _first_line(control: int) -> str:
    """The agent has written it before it started this process. Byte by byte: what is behind it is to stay there."""
    line = bytearray()
    while (byte := os.read(control, 1)) not in (b"\n", b""):
        line += byte
    return line.decode()


def _launch(mode: str, plan: str, tell: Callable[[str], None]) -> launch.Launch:
    if mode in launch.UNTOUCHED:
        return launch.Launch()
    import json  # it has its cost

    return launch.of(json.loads(plan), tell)


def _stand_apart() -> None:
    """In a session of its own, so that ctrl-C reaches the agent alone; in a group only, where the agent has left this
    process in the terminal's session (`terminal.py`)."""
    if os.getsid(0) == os.getppid():
        os.setsid()
    else:
        os.setpgid(0, 0)


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


def _remove(folder: str) -> None:
    import shutil  # only now: it is large

    from tulle.agent.shared_memory import remove_shared_memory

    remove_shared_memory(folder)
    shutil.rmtree(folder, ignore_errors=True)
    if os.path.exists(folder):
        print(f"tulle | can't remove {folder}", file=sys.stderr)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:])
