"""A terminal's signals, and a shell's jobs: a server under the agent is one job with it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Until = Callable[..., Awaitable[Any]]
CTRL_C, CTRL_D, CTRL_Z = "\x03", "\x04", "\x1a"

SOURCES = str(Path(__file__).parents[3] / "src")
READER = """
import sys
print("ready", flush=True)
for line in iter(sys.stdin.readline, ""):
    print("got", line.strip().upper(), flush=True)
print("bye", flush=True)
"""


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
    assert control_plane.healths == ["starting", "running", "healthy", "draining"]
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
    screens: Any,
    typed: Callable[..., str],
    control_plane: Any,
    server: str,
    until: Until,
    processes: Any,
    tmp_path: Path,
) -> None:
    screen = screens()
    await screen.shows("outer> ")
    screen.type(f"{typed(sys.executable, server)}\n")
    await until(lambda: control_plane.healths[-1:] == ["healthy"])
    program = processes.one(sys.executable, server)
    for back in ("fg", "bg"):
        screen.type(CTRL_Z)
        await screen.shows("Stopped")
        await screen.shows("outer> ")
        assert processes.is_stopped(program)
        screen.type(f"{back}\n")
        await until(lambda: not processes.is_stopped(program))
    await screen.enter("kill -INT %1; wait", "outer> ")
    assert "draining" in control_plane.healths


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


async def until_stopped(screen: Any) -> None:
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


# Its child is no orphaned process group, in which the kernel would take no notice of SIGTSTP.
PARENT = "import subprocess, sys; sys.exit(subprocess.Popen(['sh', '-c', sys.argv[1]], process_group=0).wait())"


async def test_without_a_terminal_a_stopped_agent_stops_its_program_as_well(
    control_plane: Any,
    run: Callable[..., str],
    server: str,
    until: Until,
    processes: Any,
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
    program = processes.one(sys.executable, server)
    agent = processes.agent()
    os.kill(agent, signal.SIGTSTP)
    await until(lambda: processes.is_stopped(program) and processes.is_stopped(agent))
    os.kill(agent, signal.SIGCONT)
    await until(lambda: not processes.is_stopped(program) and not processes.is_stopped(agent))
    os.kill(agent, signal.SIGTERM)
    await until(lambda: parent.poll() is not None)
    assert parent.returncode == 143
