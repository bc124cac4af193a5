"""However the agent ends, no rule is left, a program that is left is refused, and its cgroup goes in the end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machine import excused
from tulle.agent.capture import cgroup
from tulle.agent.capture.cgroup import Cgroup, NoCgroup
from tulle.agent.capture.mode import Unavailable

VIP = "127.64.0.2"
CALLS = f"while read port; do cat 2>&1 </dev/tcp/{VIP}/$port; echo; done"  # for each line
# An agent that has only its real reaper; argv as in machine.agent().
WITH_REAPER = """
import asyncio, json, os, pathlib, sys
from tulle.agent.capture import redirect
from tulle.agent.capture.mode import Settings
from tulle.agent.folder import agent_folder
from tulle.agent.program import under_reaper
async def main(settings, program):
    with agent_folder(settings.folder, settings.proxy) as folder, redirect.prepared(settings) as prepared:
        print(prepared.plan["cgroup"], folder.path, flush=True)
        async with under_reaper(program[0], program, os.environ, folder, prepared.plan) as running:
            await running.start()
            await running.ended()
settings = Settings(folder=pathlib.Path(os.environ["DATA"]), **json.loads(sys.argv[1]))
asyncio.run(main(settings, sys.argv[2:]))
"""
AN_HOUR_AGO = time.time() - 3600


def test_after_the_program_nothing_is_left(machine: Any, ruleset: Callable[[], bytes]) -> None:
    with machine.captured() as captured:
        assert captured.run(["true"]) == ""
        assert captured.cgroup.exists()
    assert not captured.cgroup.exists()
    assert machine.network.do(ruleset) == b""


def test_what_the_program_leaves_behind_is_killed_with_its_cgroups(machine: Any) -> None:
    with machine.captured() as captured:
        daemon = captured.start(["setsid", "bash", "-c", "trap '' TERM HUP; echo here; sleep 600; :"])
        assert daemon.stdout.readline() == "here\n"
        own = captured.cgroup / "own" / "deeper"
        own.mkdir(parents=True)
        (own / "cgroup.procs").write_text(str(daemon.pid))
        captured.launch().close()
        assert daemon.wait(10) == -signal.SIGKILL
        assert not captured.cgroup.exists()
        captured.launch().close()  # it is gone, which is all that is wanted
    daemon.communicate()


def test_they_are_killed_one_by_one_where_the_kernel_can_not_kill_a_cgroup(
    machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "_kill", cgroup._kill_one_by_one)  # as before Linux 5.14
    with machine.captured() as captured:
        started = [captured.start(["sleep", "600"]) for _ in range(3)]
        (captured.cgroup / "own").mkdir()
        (captured.cgroup / "own" / "cgroup.procs").write_text(str(started[0].pid))
        captured.launch().close()
        assert {process.wait(10) for process in started} == {-signal.SIGKILL}
        assert not captured.cgroup.exists()
    for process in started:
        process.communicate()


def test_a_killed_agent_takes_the_rules_along_and_its_program_is_refused(
    machine: Any, ruleset: Callable[[], bytes]
) -> None:
    agent = machine.start(machine.agent("bash", "-c", CALLS))
    with agent:
        path = Path(agent.stdout.readline().strip())

        def call(port: int) -> str:
            agent.stdin.write(f"{port}\n")
            agent.stdin.flush()
            return str(agent.stdout.readline().strip())

        assert call(80) == f"sidecar for {VIP}:80"
        assert b"tulle-test" in machine.network.do(ruleset)
        agent.send_signal(signal.SIGKILL)
        agent.wait()
        assert machine.network.do(ruleset) == b""
        assert "Connection refused" in call(80)
        _sweep()
        assert path.exists()  # somebody is in it
        cgroup.ended(str(path))
    assert not path.exists()


def test_with_its_reaper_alive_the_killed_agents_program_and_cgroup_are_gone_as_well(
    machine: Any, ruleset: Callable[[], bytes], tmp_path: Path
) -> None:
    daemon = (
        f"cat </dev/tcp/{VIP}/80; echo; setsid bash -c 'trap : TERM HUP; echo $$; while :; do sleep 600; done' & wait"
    )
    command = machine.agent("/bin/bash", "-c", daemon)
    command[2] = WITH_REAPER
    with machine.start(command, env={**os.environ, "DATA": str(tmp_path)}) as agent:
        cgroup_path, folder = map(Path, agent.stdout.readline().split())
        assert agent.stdout.readline().strip() == f"sidecar for {VIP}:80"
        process = int(agent.stdout.readline())
        assert str(process) in (cgroup_path / "cgroup.procs").read_text().split()
        assert str(agent.pid) not in (cgroup_path / "cgroup.procs").read_text().split()
        agent.send_signal(signal.SIGKILL)
        agent.wait()
        assert machine.network.do(ruleset) == b""
        deadline = time.monotonic() + 20
        while (left := [path for path in (cgroup_path, folder) if path.exists()]) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not left and not Path(f"/proc/{process}").exists()


def test_the_next_agent_removes_what_an_agent_and_its_reaper_left(machine: Any) -> None:
    agent = machine.start(machine.agent("bash", "-c", "echo up; exec sleep 600"))
    with agent:
        path = Path(agent.stdout.readline().strip())
        assert agent.stdout.readline() == "up\n"
        os.utime(path, (AN_HOUR_AGO, AN_HOUR_AGO))
        _sweep()
        assert path.exists()  # in use
        os.utime(path)  # tests beside this one sweep as well
        agent.send_signal(signal.SIGKILL)
        agent.wait()
        for process in (path / "cgroup.procs").read_text().split():
            os.kill(int(process), signal.SIGKILL)
        while "populated 1" in (path / "cgroup.events").read_text():
            time.sleep(0.01)
        _sweep()
        assert path.exists()  # its agent may just not have locked it yet
        os.utime(path, (AN_HOUR_AGO, AN_HOUR_AGO))
        deadline = time.monotonic() + 20
        while path.exists():
            assert time.monotonic() < deadline
            _sweep()


def test_an_empty_cgroup_stays_as_long_as_its_agent_lives(machine: Any) -> None:
    """The program may be between two lives."""
    with machine.captured() as captured:
        os.utime(captured.cgroup, (AN_HOUR_AGO, AN_HOUR_AGO))
        _sweep()
        assert captured.dial(VIP, 80).startswith("sidecar")


def test_what_can_not_be_made_leaves_nothing(machine: Any, ruleset: Callable[[], bytes]) -> None:
    taken = pytest.raises(Unavailable, match="another sidecar of the same name is there")
    with Cgroup(machine.settings.proxy), taken, machine.captured(proxy=machine.settings.proxy):
        pass
    assert machine.network.do(ruleset) == b""


def test_a_burst_of_calls_is_redirected_to_the_last(machine: Any) -> None:
    calls = f"for i in $(seq 100); do cat </dev/tcp/{VIP}/80 & done | wc -c; wait"
    with machine.captured() as captured:
        assert captured.run(["bash", "-c", calls]) == str(100 * len(f"sidecar for {VIP}:80"))


def _sweep() -> None:
    """What every agent does at its start, below the same cgroup."""
    try:
        with Cgroup(f"test-sweep-{os.getpid()}-{time.monotonic_ns()}"):
            pass
    except NoCgroup as error:
        excused("redirect", str(error))
