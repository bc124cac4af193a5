"""kill -9 of the agent: within two seconds nothing of it is left, whatever kind of program it ran."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

Until = Callable[..., Awaitable[Any]]
StartAgent = Callable[..., Any]
Marked = Callable[[str], list[int]]

SECONDS = 2.0

GUNICORN = """
import os
from gunicorn.app.wsgiapp import run
import sys
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]
if __name__ == "__main__":
    sys.argv = ["gunicorn", "--workers", "2", "--bind", f"127.0.0.1:{os.environ['PORT']}", "program:app"]
    run()
"""

DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir("/")
        print("the daemon is up", flush=True)
        time.sleep(600)
    os._exit(0)
os.wait()
time.sleep(600)
"""


@pytest.fixture
def all_of_it(tmp_path: Path, marked: Marked) -> Callable[[], list[int]]:
    """Tells which processes of the agent are alive: itself, its helpers, Envoy, the program and its tree."""
    return lambda: marked(f"AGENT_MARK={tmp_path}")


async def killed(agent: Any, folder: Path, all_of_it: Callable[[], list[int]], until: Until, least: int) -> None:
    assert len(all_of_it()) >= least
    agent.send(signal.SIGKILL)
    await until(lambda: agent.process.poll() is not None and not all_of_it(), SECONDS, "end of all processes")
    await until(lambda: not folder.exists(), SECONDS, "end of the folder")


async def test_gunicorn_and_its_workers_go(
    control_plane: Any, start_agent: StartAgent, tmp_path: Path, until: Until, all_of_it: Callable[[], list[int]]
) -> None:
    (tmp_path / "program.py").write_text(GUNICORN)
    environment = {"AGENT_MARK": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    agent = start_agent(sys.executable, str(tmp_path / "program.py"), environment=environment)
    await until(lambda: "healthy" in control_plane.healths)
    await until(lambda: agent.text.count("Booting worker") == 2)
    await killed(agent, control_plane.folder(), all_of_it, until, least=6)


async def test_a_daemon_that_has_forked_twice_goes(
    control_plane: Any, start_agent: StartAgent, tmp_path: Path, until: Until, all_of_it: Callable[[], list[int]]
) -> None:
    agent = start_agent(sys.executable, "-c", DAEMON, environment={"AGENT_MARK": str(tmp_path)})
    await agent.says("the daemon is up")
    await killed(agent, control_plane.folder(), all_of_it, until, least=5)


async def test_a_killed_reaper_ends_the_agent_with_all_that_it_had(
    control_plane: Any, start_agent: StartAgent, tmp_path: Path, until: Until, all_of_it: Callable[[], list[int]]
) -> None:
    agent = start_agent(sys.executable, "-c", DAEMON, environment={"AGENT_MARK": str(tmp_path)})
    await agent.says("the daemon is up")
    folder = control_plane.folder()
    reaper = next(pid for pid in all_of_it() if b"reaper.py" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(reaper, signal.SIGKILL)
    assert await agent.exit_code() == 125
    assert "reaper was killed" in agent.text
    assert all_of_it() == []
    assert not folder.exists()


async def test_an_agent_that_is_killed_before_its_program_starts_leaves_nothing(
    control_plane: Any, start_agent: StartAgent, tmp_path: Path, until: Until, all_of_it: Callable[[], list[int]]
) -> None:
    control_plane.says_ready = False
    agent = start_agent("sleep", "600", environment={"AGENT_MARK": str(tmp_path)})
    await until(lambda: control_plane.proxies)
    await killed(agent, control_plane.folder(), all_of_it, until, least=3)
