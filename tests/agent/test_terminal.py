"""A program under the agent has the user's terminal as it would have it without: real ptys, and a real shell outside."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shlex
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tulle.agent.config import AgentConfig

Until = Callable[..., Awaitable[Any]]
SOURCES = str(Path(__file__).parents[2] / "src")
CTRL_C, CTRL_D, CTRL_Z = "\x03", "\x04", "\x1a"

READER = """
import sys
print("ready", flush=True)
for line in iter(sys.stdin.readline, ""):
    print("got", line.strip().upper(), flush=True)
print("bye", flush=True)
"""


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
            service="service-b", service_account="service-b", data=str(control_plane.data), command=command
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


def command_of(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
    except OSError:
        return []


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def test_an_interactive_shell_has_the_terminal_and_its_own_job_control(
    screens: Any, typed: Callable[..., str]
) -> None:
    screen = screens()
    await screen.shows("outer> ")
    inner = typed("env", "PS1=inner> ", "bash", "--norc", "--noprofile", "--noediting", "-i")
    await screen.enter(inner, "inner> ")
    assert "job control" not in screen.text
    await screen.enter("tty", "/dev/pts/", "inner> ")
    await screen.enter("sleep 611 &", "[1]", "inner> ")
    await screen.enter("fg", "sleep 611\r\n")
    await screen.has_in_front("sleep", "611")
    screen.type(CTRL_C)
    await screen.shows("inner> ")
    await screen.enter("jobs; sleep 612")
    assert "Running" not in screen.text.rpartition("jobs; ")[2]
    await screen.has_in_front("sleep", "612")
    screen.type(CTRL_Z)
    await screen.shows("Stopped")
    await screen.enter("kill %1; exec true", "outer> ")
    await screen.enter("echo code=$?", "code=0", "outer> ")


async def test_a_shell_ends_with_its_exit_code_and_the_terminal_is_the_outer_ones(
    screens: Any, typed: Callable[..., str]
) -> None:
    screen = screens()
    await screen.shows("outer> ")
    await screen.enter(typed("env", "PS1=inner> ", "bash", "--norc", "--noprofile", "--noediting", "-i"), "inner> ")
    await screen.enter("exit 3", "outer> ")
    await screen.enter("echo code=$?", "code=3", "outer> ")
    await screen.enter("cat")
    await screen.enter("hello", "hello")
    screen.type(CTRL_C)
    await screen.shows("outer> ")


async def test_a_debugger_reads_its_commands_and_is_interrupted(
    screens: Any, typed: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "debugged.py").write_text("import time\nprint('runs')\nwhile True:\n    time.sleep(0.05)\n")
    screen = screens()
    await screen.shows("outer> ")
    await screen.enter(typed(sys.executable, "-m", "pdb", str(tmp_path / "debugged.py")), "(Pdb) ")
    screen.type("p 40 + 2\n")
    await screen.shows("42")
    await screen.shows("(Pdb) ")
    screen.type("c\n")
    await screen.shows("runs")
    screen.type(CTRL_C)
    await screen.shows("(Pdb) ")
    screen.type("q\n")
    await screen.shows("outer> ")


async def test_ctrl_c_at_a_server_ends_it_in_good_order(
    screens: Any, typed: Callable[..., str], control_plane: Any, server: str, until: Until
) -> None:
    screen = screens()
    await screen.shows("outer> ")
    screen.type(f"{typed(sys.executable, server)}\n")
    await until(lambda: control_plane.healths[-1:] == ["healthy"])
    screen.type(CTRL_C)
    await screen.shows("SIGINT: ending after the calls in flight")
    await screen.shows("KeyboardInterrupt")
    await screen.shows("outer> ")
    assert control_plane.healths == ["starting", "healthy", "draining"]
    await screen.enter("echo code=$?", "code=130")


async def test_a_program_that_leaves_its_process_group_is_ended_all_the_same(
    screens: Any, typed: Callable[..., str]
) -> None:
    code = "import os, time; os.setpgid(0, os.getpgid(os.getppid())); print('ready', flush=True); time.sleep(600)"
    screen = screens()
    await screen.shows("outer> ")
    await screen.enter(typed(sys.executable, "-c", code), "ready")
    screen.type(CTRL_C)
    await screen.shows("KeyboardInterrupt")
    await screen.shows("outer> ")


async def test_ctrl_z_at_a_server_stops_it_until_it_is_continued(
    screens: Any, typed: Callable[..., str], control_plane: Any, server: str, until: Until, marked: Any, tmp_path: Path
) -> None:
    screen = screens()
    await screen.shows("outer> ")
    screen.type(f"{typed(sys.executable, server)}\n")
    await until(lambda: control_plane.healths[-1:] == ["healthy"])
    [program] = [pid for pid in marked(f"MARK={tmp_path}") if command_of(pid) == [sys.executable, server]]
    for back in ("fg", "bg"):
        screen.type(CTRL_Z)
        await screen.shows("Stopped")
        await screen.shows("outer> ")
        assert state_of(program) == "T"
        screen.type(f"{back}\n")
        await until(lambda: state_of(program) != "T")
    await screen.enter("kill -INT %1; wait", "outer> ")
    assert "draining" in control_plane.healths


async def test_ctrl_z_at_a_program_that_reads_gives_the_terminal_back_and_fg_returns_it(
    screens: Any, typed: Callable[..., str]
) -> None:
    screen = screens()
    await screen.shows("outer> ")
    await screen.enter(typed(sys.executable, "-c", READER), "ready")
    await screen.enter("one", "got ONE")
    for word in ("two", "three"):
        screen.type(CTRL_Z)
        await screen.shows("Stopped")
        await screen.shows("outer> ")
        await screen.enter("echo the outer $((6 * 7))", "the outer 42", "outer> ")
        await screen.enter("fg")
        await screen.enter(word, f"got {word.upper()}")
    screen.type(CTRL_D)
    await screen.shows("bye")
    await screen.shows("outer> ")
    await screen.enter("echo code=$?", "code=0")


async def test_a_background_job_does_not_take_the_terminal(screens: Any, typed: Callable[..., str]) -> None:
    screen = screens()
    await screen.shows("outer> ")
    await screen.enter(f"{typed(sys.executable, '-c', READER)} &", "outer> ")
    await screen.shows("ready")
    await until_stopped(screen)
    await screen.enter("fg")
    await screen.enter("one", "got ONE")
    screen.type(CTRL_C)
    await screen.shows("KeyboardInterrupt")
    await screen.shows("outer> ")


async def until_stopped(screen: Screen) -> None:
    """The shell says so itself only before its next prompt."""
    for _ in range(100):
        await screen.enter("jobs; echo $((6 * 7))", "42\r\n", "outer> ")
        if "Stopped" in screen.text:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(screen.text)


async def test_a_pipeline_stays_one(screens: Any, typed: Callable[..., str]) -> None:
    screen = screens()
    await screen.shows("outer> ")
    await screen.enter(f"echo some text | {typed('tr', 'a-z', 'A-Z')} 2>/dev/null | rev", "TXET EMOS", "outer> ")


async def test_a_program_learns_of_a_new_window_size(screens: Any, typed: Callable[..., str], until: Until) -> None:
    code = """
import os, signal, time
signal.signal(signal.SIGWINCH, lambda *_: print("size", os.get_terminal_size().columns, flush=True))
print("ready", flush=True)
while True:
    time.sleep(600)
"""
    screen = screens()
    await screen.shows("outer> ")
    await screen.enter(typed(sys.executable, "-c", code), "ready")

    def resized() -> bool:
        return "size 123" in screen.text

    # The agent passes signals on from when it has heard that the program runs.
    for columns in [122, 123] * 50:
        fcntl.ioctl(screen.keys, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        if resized():
            break
        await asyncio.sleep(0.05)
    await until(resized)
    screen.type(CTRL_C)
    await screen.shows("outer> ")


async def test_a_program_that_is_killed_leaves_the_terminal_as_it_was(
    screens: Any, typed: Callable[..., str], tmp_path: Path
) -> None:
    code = "import os, signal, tty; tty.setraw(0); os.kill(os.getpid(), signal.SIGKILL)"
    # A shell that has no job control, and so does not set the terminal right by itself.
    screen = screens("sh", "-c", f"{typed(sys.executable, '-c', code)}; echo code=$?; stty -a; read x; echo got $x")
    await screen.shows("code=137")
    await screen.shows(" icanon ")
    await screen.shows(" echo ")
    await screen.enter("line", "got line")


async def test_a_killed_agent_takes_a_program_with_it_that_had_the_terminal(
    screens: Any, typed: Callable[..., str], marked: Callable[[str], list[int]], until: Until, tmp_path: Path
) -> None:
    screen = screens()
    await screen.shows("outer> ")
    await screen.enter(typed(sys.executable, "-c", READER), "ready")
    await screen.enter("one", "got ONE")
    [agent] = [pid for pid in marked(f"MARK={tmp_path}") if "tulle.agent" in command_of(pid)]
    assert json.loads(command_of(agent)[4])["service"] == "service-b"
    os.kill(agent, signal.SIGKILL)
    await screen.shows("Killed")
    await screen.shows("outer> ")
    # Until the program is gone as well, its read(2) that has begun may still get a line.
    await until(lambda: marked(f"MARK={tmp_path}") == [screen.shell.pid])
    await screen.enter("echo the outer $((6 * 7))", "the outer 42")


# Its child is no orphaned process group, in which the kernel would take no notice of SIGTSTP.
PARENT = "import subprocess, sys; sys.exit(subprocess.Popen(['sh', '-c', sys.argv[1]], process_group=0).wait())"


async def test_without_a_terminal_a_stopped_agent_stops_its_program_as_well(
    control_plane: Any,
    run: Callable[..., str],
    server: str,
    until: Until,
    marked: Callable[[str], list[int]],
    tmp_path: Path,
) -> None:
    parent = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", PARENT, f"exec {run(sys.executable, server)}"],
        env={**os.environ, "PYTHONPATH": SOURCES, "MARK": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    await until(lambda: control_plane.healths[-1:] == ["healthy"])
    ours = marked(f"MARK={tmp_path}")
    [program] = [pid for pid in ours if command_of(pid) == [sys.executable, server]]
    [agent] = [pid for pid in ours if "tulle.agent" in command_of(pid)]
    os.kill(agent, signal.SIGTSTP)
    await until(lambda: state_of(program) == "T" and state_of(agent) == "T")
    os.kill(agent, signal.SIGCONT)
    await until(lambda: state_of(program) != "T" and state_of(agent) != "T")
    os.kill(agent, signal.SIGTERM)
    await until(lambda: parent.poll() is not None)
    assert parent.returncode == 143


async def test_a_terminal_that_is_hung_up_ends_an_interactive_program_and_its_agent(
    screens: Any, typed: Callable[..., str], marked: Callable[[str], list[int]], until: Until, tmp_path: Path
) -> None:
    screen = screens()
    await screen.shows("outer> ")
    await screen.enter(typed(sys.executable, "-c", READER), "ready")
    await screen.enter("one", "got ONE")
    os.close(screen.keys)
    screen.keys = os.open("/dev/null", os.O_RDWR)
    screen.shell.wait()
    await until(lambda: not marked(f"MARK={tmp_path}"), what="end of all processes")
