"""A user at a terminal: a real pty, with a real shell in it that runs agents."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shlex
import subprocess
import termios
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tulle.agent.config import AgentConfig

Until = Callable[..., Awaitable[Any]]
SOURCES = str(Path(__file__).parents[3] / "src")


class Screen:
    """A terminal in which a user sits at a shell."""

    def __init__(self, tmp_path: Path, shell: list[str], until: Until) -> None:
        self.text = ""
        self._until = until
        self._seen = 0
        self.keys, screen = os.openpty()
        self.shell = subprocess.Popen(
            shell,
            env={**os.environ, "PYTHONPATH": SOURCES, "PS1": "outer> ", "HISTFILE": "", "MARK": str(tmp_path)},
            stdin=screen,
            stdout=screen,
            stderr=screen,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(screen)
        asyncio.get_running_loop().add_reader(self.keys, self._read)

    def type(self, text: str) -> None:
        os.write(self.keys, text.encode())

    async def shows(self, text: str) -> None:
        """Waits until that is printed, after what was waited for before."""
        try:
            await self._until(lambda: text in self.text[self._seen :], what=text)
        except AssertionError:
            raise AssertionError(f"{text!r} is not in {self.text[self._seen :]!r}, after {self.text!r}") from None
        self._seen = self.text.index(text, self._seen) + len(text)

    async def enter(self, line: str, *shown: str) -> None:
        """Types a line, and waits for its echo, and then for each of the texts."""
        self.type(f"{line}\n")
        for text in (f"{line}\r\n", *shown):
            await self.shows(text)

    async def has_in_front(self, *command: str) -> None:
        """Waits until the terminal's signals go to that."""
        await self._until(lambda: command_of(os.tcgetpgrp(self.keys)) == list(command), what=str(command))

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.keys)
        os.close(self.keys)
        if self.shell.poll() is None:
            self.shell.kill()
        self.shell.wait()

    def _read(self) -> None:
        try:
            self.text += os.read(self.keys, 65536).decode(errors="replace")
        except OSError:  # nobody has the other end any more
            asyncio.get_running_loop().remove_reader(self.keys)


def command_of(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
    except OSError:
        return []


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


class Processes:
    """Those that a test's shell has started, directly or not."""

    def __init__(self, found: Callable[[], list[int]]) -> None:
        self.all = found

    def one(self, *words: str) -> int:
        """That has this command line."""
        [pid] = [pid for pid in self.all() if command_of(pid) == list(words)]
        return pid

    def agent(self) -> int:
        [pid] = [pid for pid in self.all() if "tulle.agent" in command_of(pid)]
        return pid

    def is_stopped(self, pid: int) -> bool:
        return state_of(pid) == "T"


@pytest.fixture
async def screens(tmp_path: Path, until: Until, marked: Callable[[str], list[int]]) -> Any:
    """Opens terminals; closing them hangs all up that is in them."""
    opened: list[Screen] = []

    def open_one(*shell: str) -> Screen:
        opened.append(Screen(tmp_path, list(shell) or ["bash", "--norc", "--noprofile", "--noediting", "-i"], until))
        return opened[-1]

    yield open_one
    for screen in opened:
        screen.close()
    await until(lambda: not marked(f"MARK={tmp_path}"), what="end of all processes")


@pytest.fixture
def run(control_plane: Any) -> Callable[..., str]:
    """The command line of an agent with that program."""

    def line(*command: str) -> str:
        config = AgentConfig(
            service="service-b",
            service_account="service-b",
            data=str(control_plane.data),
            command=command,
            capture="proxy",
        )
        return shlex.join(config.argv())

    return line


@pytest.fixture
def typed(run: Callable[..., str], tmp_path: Path) -> Callable[..., str]:
    """The same, short enough to be typed into a terminal."""
    files = iter(range(1000))

    def line(*command: str) -> str:
        script = tmp_path / f"run{next(files)}"
        script.write_text(f"#!/bin/sh\nexec {run(*command)}\n")
        script.chmod(0o755)
        return str(script)

    return line


@pytest.fixture
def processes(marked: Callable[[str], list[int]], tmp_path: Path) -> Processes:
    return Processes(lambda: marked(f"MARK={tmp_path}"))
