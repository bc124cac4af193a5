"""Shares the terminal with the program, as a shell does with a job of it (credentials(7), tty_ioctl(4), libc's manual).

The program is in the terminal's session, in a process group of its own, in the background: so ctrl-C reaches the agent,
which lets a server end in good order. A program that reads the terminal, or sets it up, is stopped by the kernel for
that; then the terminal becomes the program's, ctrl-C included, and it goes on. The shell that has started the agent
knows nothing of the program: its `fg`, `bg` and ctrl-Z are passed on, both ways.

Without a controlling terminal (systemd, CI) the program has a session of its own, and only stops are passed on.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any


@contextmanager
def shared_terminal() -> Iterator[Terminal]:
    """The terminal of this process, if it has one. Within the block stops and continuations are handled."""
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        descriptor = -1
    loop = asyncio.get_running_loop()
    terminal = Terminal(descriptor)
    # To write to the terminal, and to hand it over, while it is the program's. The reaper is to have it so as well.
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    can_stop = signal.getsignal(signal.SIGTSTP) is not signal.SIG_IGN
    loop.add_signal_handler(signal.SIGCONT, terminal.resume)
    if can_stop:
        loop.add_signal_handler(signal.SIGTSTP, terminal.stop)
    try:
        yield terminal
    finally:
        terminal.program_exited(0)
        loop.remove_signal_handler(signal.SIGCONT)
        if can_stop:
            loop.remove_signal_handler(signal.SIGTSTP)
        signal.signal(signal.SIGTTOU, before)
        if descriptor >= 0:
            os.close(descriptor)


class Terminal:
    """Who is in front of it: this process's group, or the program's."""

    def __init__(self, descriptor: int) -> None:
        """descriptor: -1 if there is no terminal."""
        self._descriptor = descriptor
        self._group = 0
        self._signal: Callable[[int], None] = lambda _: None
        self._programs = False  # the terminal is the program's
        self._claimed = False  # it was when the program was stopped, and is to be again
        self._passed_stop = False
        self._modes: list[Any] | None = None
        self._programs_modes: list[Any] | None = None

    @property
    def is_there(self) -> bool:
        return self._descriptor >= 0

    @property
    def is_programs(self) -> bool:
        """Whether the program has it at the moment."""
        return self._programs

    def program_started(self, group: int, signal_group: Callable[[int], None]) -> None:
        """In the background of the terminal. signal_group: sends a signal to the program's process group."""
        self._group, self._signal = group, signal_group

    def program_stopped(self, number: int) -> None:
        """By a signal of job control."""
        if number in (signal.SIGTTIN, signal.SIGTTOU):
            front = self._front()
            if front == os.getpgrp():
                if self._give():
                    self._signal(signal.SIGCONT)
            elif front == self._group:  # it was stopped twice, by two of its processes
                self._signal(signal.SIGCONT)
            else:  # `tulle run ... &`: the shell that has the terminal is to see its job stopped
                self._take()
                os.killpg(0, signal.SIGTTIN)
        elif self._passed_stop or self._programs:
            self._stop_with(os.killpg)

    def program_exited(self, code: int) -> None:
        """code: as in subprocess. Leaves the terminal as the program has, unless a signal kept it from tidying up."""
        if self._programs:
            self._take()
            if code < 0 and self._modes is not None:
                self._set(self._modes)
        self._group, self._claimed, self._programs_modes = 0, False, None

    def stop(self) -> None:
        """This process was told to stop (SIGTSTP): so is the program, and when it does, this process does so too."""
        if self._group and self.is_there:
            self._passed_stop = True
            self._signal(signal.SIGTSTP)
        else:
            self._signal(signal.SIGSTOP)  # a SIGTSTP does nothing in a session that has no shell
            self._stop_with(os.kill)

    def resume(self) -> None:
        """This process goes on, and so does the program; if that had the terminal, it has it again after `fg`."""
        self._passed_stop = False
        if self._group:
            if (self._programs or self._claimed) and self._front() == os.getpgrp():
                self._give()
            self._signal(signal.SIGCONT)

    def _stop_with(self, kill: Callable[[int, int], None]) -> None:
        """kill: of this process, or of its group, which is what the shell sees as the job."""
        self._take()
        loop = asyncio.get_running_loop()
        is_handled = loop.remove_signal_handler(signal.SIGTSTP)
        kill(0 if kill is os.killpg else os.getpid(), signal.SIGTSTP)
        # Here it stands still. It does not where no shell could continue it: then the program is not to either.
        if is_handled:
            loop.add_signal_handler(signal.SIGTSTP, self.stop)
        self.resume()

    def _front(self) -> int:
        """The process group that has the terminal."""
        try:
            return os.tcgetpgrp(self._descriptor)
        except OSError:  # there is no terminal, or it was hung up
            return -1

    def _give(self) -> bool:
        """The terminal to the program; whether that was possible."""
        import termios  # for few programs

        try:
            self._modes = termios.tcgetattr(self._descriptor)
            if self._programs_modes is not None:
                self._set(self._programs_modes)
            os.tcsetpgrp(self._descriptor, self._group)
        except (OSError, termios.error):  # it was hung up, or the program has left its group
            return False
        self._programs = True
        return True

    def _take(self) -> None:
        """The terminal from the program, if that has it, or a job of it: not from the shell that has this job."""
        if not self._programs:
            return
        self._programs, self._claimed = False, True
        import termios

        with suppress(OSError, termios.error):
            self._programs_modes = termios.tcgetattr(self._descriptor)
            os.tcsetpgrp(self._descriptor, os.getpgrp())

    def _set(self, modes: list[Any]) -> None:
        import termios

        with suppress(termios.error):
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, modes)
