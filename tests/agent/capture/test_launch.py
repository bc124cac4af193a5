"""A mode's hooks are called in the reaper and in its children at the moments that the mode can count on."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tulle.agent import program as program_module
from tulle.agent.capture import launch
from tulle.agent.exits import AgentError
from tulle.agent.folder import agent_folder
from tulle.agent.program import Program, under_reaper

Until = Callable[..., Awaitable[Any]]
Start = Callable[..., AbstractAsyncContextManager[Program]]

SOURCES = str(Path(__file__).parents[3] / "src")

# A reaper whose one mode notes when its hooks are called, and waits for a named pipe.
REAPER = f"""
import os, sys
sys.path.append({SOURCES!r})
from tulle.agent import reaper
from tulle.agent.capture import launch

class Noting(launch.Launch):
    def __init__(self, plan, tell):
        self.plan, self.tell = plan, tell
        if plan.get("impossible"):
            raise PermissionError(1, "Operation not permitted")
        os.mkfifo(plan["folder"] + "/fifo")
        self.fifo = os.open(plan["folder"] + "/fifo", os.O_RDWR | os.O_NONBLOCK)
    def note(self, what):
        with open(self.plan["folder"] + "/notes", "a") as file:
            print(what, file=file)
    def in_child(self):
        self.note(f"in_child {{os.getpid()}} {{os.getpgrp() == os.getpid()}}")
        if self.plan.get("fails"):
            raise PermissionError(1, "Operation not permitted")
    def after_fork(self, child):
        self.note(f"after_fork {{child}}")
        if self.plan.get("fails late"):
            raise PermissionError(1, "Operation not permitted")
    def descriptors(self):
        return {{self.fifo: self.read}} if self.fifo >= 0 else {{}}
    def read(self):
        said = os.read(self.fifo, 100).decode().strip()
        self.tell(f"note {{said}}")
        if said == "end":
            os.close(self.fifo)
            self.fifo = -1
    def close(self):
        self.note("close")

launch.of = Noting
reaper.main(int(sys.argv[1]), *sys.argv[2:5], sys.argv[5:])
"""


@pytest.fixture
def heard() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def noting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: list[tuple[str, str]]) -> Start:
    """Runs Python code under a reaper whose launch hook takes notes; not started yet."""
    script = tmp_path / "reaper.py"
    script.write_text(REAPER)
    monkeypatch.setattr(program_module, "_REAPER", str(script))

    @asynccontextmanager
    async def start(code: str, **plan: Any) -> AsyncIterator[Program]:
        plan = {"mode": "redirect", "folder": str(tmp_path), **plan}
        command = (sys.executable, "-c", code)
        with agent_folder(tmp_path, "a-000001") as folder:
            async with under_reaper(
                command[0], command, dict(os.environ), folder, plan, lambda *line: heard.append(line)
            ) as program:
                yield program

    return start


def notes(folder: Path) -> list[str]:
    return (folder / "notes").read_text().splitlines()


async def test_each_life_passes_the_hooks_and_the_end_closes_once(noting: Start, tmp_path: Path) -> None:
    for_the_life = f"import os; open({str(tmp_path / 'pids')!r}, 'a').write(f'{{os.getpid()}} ')"
    async with noting(for_the_life) as program:
        for _ in range(2):
            await program.start()
            await program.ended()
        assert "close" not in notes(tmp_path)
    first, second = (tmp_path / "pids").read_text().split()
    assert sorted(notes(tmp_path)[:2]) == [f"after_fork {first}", f"in_child {first} True"]
    assert sorted(notes(tmp_path)[2:4]) == [f"after_fork {second}", f"in_child {second} True"]
    assert notes(tmp_path)[4:] == ["close"]


async def test_the_reaper_waits_for_a_modes_descriptors_and_passes_on_what_it_says(
    noting: Start, tmp_path: Path, until: Until, heard: list[tuple[str, str]]
) -> None:
    async with noting("import time; time.sleep(600)") as program:
        await program.start()
        for said in ("one", "end"):
            (tmp_path / "fifo").write_text(said)
            await until(lambda said=said: heard[-1:] == [("note", said)])
        program.signal(9)
        assert await program.ended() == -9


@pytest.mark.parametrize("when", ["impossible", "fails", "fails late"])
async def test_a_capture_that_fails_is_an_error_and_the_program_does_not_run(
    noting: Start, tmp_path: Path, when: str
) -> None:
    said = "with its traffic captured: Operation not permitted"
    with pytest.RaisesGroup(pytest.RaisesExc(AgentError, match=said, check=lambda error: error.code == 125)):
        async with noting("import time; time.sleep(600)", **{when: True}) as program:
            reason = await program.canary(10)
            assert reason
            assert "Operation not permitted" in reason
            await program.start()


async def test_a_reaper_can_leave_the_folder_to_the_next(noting: Start, tmp_path: Path) -> None:
    with agent_folder(tmp_path, "a-000002") as folder:
        async with under_reaper("/bin/true", ("true",), dict(os.environ), folder, {"mode": "none"}) as program:
            program.keep_folder()
        assert folder.path.exists()
        async with under_reaper("/bin/true", ("true",), dict(os.environ), folder, {"mode": "none"}):
            pass
        assert not folder.path.exists()


def test_a_mode_that_there_is_not_is_an_error() -> None:
    with pytest.raises(ValueError, match="no mode of capture: magic"):
        launch.of({"mode": "magic"}, lambda _line: None)
    assert type(launch.of({"mode": "none"}, lambda _line: None)) is launch.Launch
