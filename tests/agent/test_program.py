"""The program and its reaper: whatever the program starts, nothing of it outlives the agent."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tulle.agent.exits import AgentError
from tulle.agent.folder import agent_folder
from tulle.agent.program import Program, locate, under_reaper

Until = Callable[..., Awaitable[Any]]
Marked = Callable[[str], list[int]]
Start = Callable[..., AbstractAsyncContextManager[Program]]

DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open(sys.argv[1], "w").write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
os.wait()
time.sleep(float(sys.argv[2]))
"""

OTHER_USERS_DAEMON = """
import os, sys, time
with open(sys.argv[1], "w") as file:
    os.setgid(65534)
    os.setuid(65534)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            print(os.getpid(), file=file, flush=True)
            time.sleep(600)
        os._exit(0)
    os.wait()
"""


@pytest.fixture
def under(tmp_path: Path) -> Start:
    """Runs a Python program under a reaper for the length of a block."""

    @asynccontextmanager
    async def start(code: str, *arguments: str, file: str = sys.executable) -> AsyncIterator[Program]:
        environment = {**os.environ, "MARK": str(tmp_path)}
        with agent_folder(tmp_path, "a-000001") as folder:
            async with under_reaper(file, (file, "-c", code, *arguments), environment, folder) as program:
                await program.start()
                yield program

    return start


@pytest.fixture
def mark(tmp_path: Path, marked: Marked) -> Callable[[], list[int]]:
    """Tells which processes of this test's program and its reaper are alive."""
    return lambda: marked(f"MARK={tmp_path}")


async def test_the_exit_code_is_the_programs(under: Start) -> None:
    async with under("raise SystemExit(7)") as program:
        assert await program.ended() == 7
        assert program.exit_code() == 7


async def test_the_program_has_no_descriptor_but_its_own(under: Start, tmp_path: Path) -> None:
    async with under(
        "import os, sys; open(sys.argv[1], 'w').write(' '.join(os.listdir('/proc/self/fd')))", str(tmp_path / "held")
    ) as program:
        assert await program.ended() == 0
    # Three streams, the file that is written, and the folder that is listed.
    assert set(map(int, (tmp_path / "held").read_text().split())) == {0, 1, 2, 3, 4}


async def test_no_plan_stands_on_a_command_line_that_everybody_can_read(tmp_path: Path) -> None:
    plan = {"mode": "none", "source": "127.1.2.3:4567"}
    with agent_folder(tmp_path, "a-000001") as folder:
        async with under_reaper("/bin/true", ("true",), dict(os.environ), folder, plan) as program:
            assert b"127.1.2.3" not in Path(f"/proc/{program.reaper}/cmdline").read_bytes()
            assert "127.1.2.3" not in Path(f"/proc/{program.reaper}/environ").read_text()
            await program.start()
            assert await program.ended() == 0


async def test_a_signals_death_is_told_as_a_shell_does(under: Start) -> None:
    async with under("import os; os.abort()") as program:
        assert await program.ended() == -signal.SIGABRT
        assert program.exit_code() == 128 + signal.SIGABRT


async def test_the_program_gets_its_signals(under: Start, tmp_path: Path, until: Until) -> None:
    code = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
open(sys.argv[1], "w").close()
time.sleep(600)
"""
    async with under(code, str(tmp_path / "up")) as program:
        await until((tmp_path / "up").exists)
        program.signal(signal.SIGTERM)
        assert await program.ended() == 3


async def test_a_terminals_signals_reach_the_whole_group_and_others_the_program_alone(
    under: Start, tmp_path: Path, until: Until
) -> None:
    code = """
import os, signal, sys, time
def note(number, frame):
    open(f"{sys.argv[1]}/{who}-{number}", "w").close()
for number in (signal.SIGUSR1, signal.SIGWINCH):
    signal.signal(number, note)
who = "child" if os.fork() == 0 else "program"
open(f"{sys.argv[1]}/{who}", "w").close()
while True:
    time.sleep(600)
"""
    async with under(code, str(tmp_path)) as program:
        await until(lambda: (tmp_path / "child").exists() and (tmp_path / "program").exists())
        program.signal(signal.SIGUSR1)
        program.signal(signal.SIGWINCH)
        for name in (f"program-{signal.SIGUSR1:d}", f"program-{signal.SIGWINCH:d}", f"child-{signal.SIGWINCH:d}"):
            await until((tmp_path / name).exists, what=name)
        assert not (tmp_path / f"child-{signal.SIGUSR1:d}").exists()


async def test_signals_that_python_ignores_are_the_programs_again(under: Start) -> None:
    async with under("kill -PIPE $$; exit 9", file="/bin/sh") as program:
        assert await program.ended() == -signal.SIGPIPE


async def daemon(folder: Path, until: Until) -> int:
    """The process id of DAEMON's grandchild."""
    return int(await until(lambda: (folder / "pid").exists() and (folder / "pid").read_text()))


async def test_a_daemon_that_forks_twice_ends_with_the_program(
    under: Start, tmp_path: Path, mark: Callable[[], list[int]], until: Until
) -> None:
    async with under(DAEMON, str(tmp_path / "pid"), "0") as program:
        assert await program.ended() == 0
        assert program.left_processes
        assert await daemon(tmp_path, until) in mark()
    assert mark() == []
    assert not (tmp_path / "proxies" / "a-000001").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
async def test_a_daemon_that_becomes_another_user_ends_with_the_program(
    under: Start, tmp_path: Path, mark: Callable[[], list[int]], until: Until
) -> None:
    async with under(OTHER_USERS_DAEMON, str(tmp_path / "pid")) as program:
        assert await program.ended() == 0
        assert program.left_processes
        assert await daemon(tmp_path, until) in mark()
    assert mark() == []


async def test_a_program_has_several_lives_each_with_its_own_end(under: Start, tmp_path: Path) -> None:
    code = """
import os, sys
with open(sys.argv[1], "a") as file:
    print("life", file=file)
lives = len(open(sys.argv[1]).readlines())
if lives == 2:
    os.abort()
sys.exit(lives)
"""
    async with under(code, str(tmp_path / "lives")) as program:
        assert await program.ended() == 1
        await program.restart()
        assert await program.ended() == -signal.SIGABRT
        assert program.exit_code() == 128 + signal.SIGABRT
        await program.restart()
        assert await program.ended() == 3
        assert program.exit_code() == 3
        await program.gone()


async def test_what_a_life_has_left_is_ended_before_the_next(
    under: Start, tmp_path: Path, until: Until, mark: Callable[[], list[int]]
) -> None:
    file = tmp_path / "pid"
    async with under(DAEMON, str(file), "0") as program:
        assert await program.ended() == 0
        first = await daemon(tmp_path, until)
        assert program.left_processes
        assert await program.clear()
        assert not program.left_processes
        assert first not in mark()
        file.unlink()
        await program.start()
        assert await program.ended() == 0
        assert program.left_processes
        second = await daemon(tmp_path, until)
        await program.restart()
        assert second not in mark()
        await program.ended()
    assert mark() == []


async def test_a_program_whose_file_has_gone_has_no_further_life(tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    with agent_folder(tmp_path, "a-000001") as folder:
        async with under_reaper(str(file), ("program",), dict(os.environ), folder) as program:
            await program.start()
            await program.ended()
            file.rename(tmp_path / "aside")
            for _ in range(20):  # the end of what could not become the program is not taken for the program's
                with pytest.raises(AgentError, match="can't run"):
                    await program.restart()
            (tmp_path / "aside").rename(file)
            await program.restart()
            assert await program.ended() == 0
            assert not program.left_processes


async def test_a_stopped_program_is_ended_all_the_same(under: Start, tmp_path: Path, until: Until) -> None:
    async with under("echo $$ > $0; kill -STOP $$", str(tmp_path / "pid"), file="/bin/sh") as program:
        pid = await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
        await until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        program.signal(signal.SIGTERM)
        assert await program.ended() == -signal.SIGTERM


async def test_a_program_that_cleans_up_leaves_nothing(under: Start) -> None:
    async with under("import subprocess; subprocess.run(['true'])") as program:
        await program.ended()
        assert not program.left_processes


async def test_workers_that_need_a_moment_after_their_master_are_waited_for(under: Start) -> None:
    async with under("sleep 0.3 & exit 4", file="/bin/sh") as program:
        assert await program.ended() == 4
        await program.gone()
        assert not program.left_processes


async def test_a_reaper_that_is_killed_takes_its_program_with_it(
    under: Start, tmp_path: Path, mark: Callable[[], list[int]], until: Until
) -> None:
    with pytest.RaisesGroup(AgentError, flatten_subgroups=True):
        async with under(DAEMON, str(tmp_path / "pid"), "600"):
            await daemon(tmp_path, until)
            reaper = next(pid for pid in mark() if b"reaper.py" in Path(f"/proc/{pid}/cmdline").read_bytes())
            os.kill(reaper, signal.SIGKILL)
            await asyncio.sleep(600)
    # Who has forked twice is given to the nearest subreaper, which the agent is, and this test is not.
    orphan = await daemon(tmp_path, until)
    await until(lambda: mark() in ([], [orphan]))
    if mark():
        os.kill(orphan, signal.SIGKILL)


@pytest.mark.parametrize(
    ("content", "said"),
    [("neither\n", "#!"), ("#!/no/such/interpreter\n", "interpreter")],
    ids=["no-interpreter", "interpreter-missing"],
)
async def test_a_file_that_the_kernel_can_not_run_is_a_clear_error(
    under: Start, tmp_path: Path, content: str, said: str
) -> None:
    file = tmp_path / "program"
    file.write_text(content)
    file.chmod(0o755)
    with pytest.RaisesGroup(pytest.RaisesExc(AgentError, match=said, check=lambda error: error.code == 126)):
        async with under("", file=str(file)):
            pass


def test_a_program_is_found_as_a_shell_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "program"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"/nowhere:{program.parent}")
    monkeypatch.chdir(tmp_path)
    assert locate("program") == str(program)
    assert locate("bin/program") == "bin/program"


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("no-such-program", 127, "there is no program"),
        ("./no-such.py", 127, "python ./no-such.py"),
        ("./plain.py", 126, "python ./plain.py"),
        ("./folder", 126, "not executable"),
    ],
)
def test_what_can_not_be_run_is_said_with_the_shells_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.py").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(AgentError, match=said) as failure:
        locate(command)
    assert failure.value.code == code
