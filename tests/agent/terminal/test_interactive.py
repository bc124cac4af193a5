"""An interactive program under the agent has the user's terminal as it would have it without."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Until = Callable[..., Awaitable[Any]]
CTRL_C, CTRL_D, CTRL_Z = "\x03", "\x04", "\x1a"

READER = """
import sys
print("ready", flush=True)
for line in iter(sys.stdin.readline, ""):
    print("got", line.strip().upper(), flush=True)
print("bye", flush=True)
"""


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
    screens: Any, typed: Callable[..., str], processes: Any, until: Until, tmp_path: Path
) -> None:
    screen = screens()
    await screen.shows("outer> ")
    await screen.enter(typed(sys.executable, "-c", READER), "ready")
    await screen.enter("one", "got ONE")
    agent = processes.agent()
    os.kill(agent, signal.SIGKILL)
    await screen.shows("Killed")
    await screen.shows("outer> ")
    # Until the program is gone as well, its read(2) that has begun may still get a line.
    await until(lambda: processes.all() == [screen.shell.pid])
    await screen.enter("echo the outer $((6 * 7))", "the outer 42")


async def test_a_terminal_that_is_hung_up_ends_an_interactive_program_and_its_agent(
    screens: Any, typed: Callable[..., str], processes: Any, until: Until, tmp_path: Path
) -> None:
    screen = screens()
    await screen.shows("outer> ")
    await screen.enter(typed(sys.executable, "-c", READER), "ready")
    await screen.enter("one", "got ONE")
    os.close(screen.keys)
    screen.keys = os.open("/dev/null", os.O_RDWR)
    screen.shell.wait()
    await until(lambda: not processes.all(), what="end of all processes")
