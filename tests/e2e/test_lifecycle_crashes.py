"""What a workload's own parts leave behind when they are killed: nothing; and the program does not notice its Envoy's end."""

from __future__ import annotations

import os
import signal
import uuid
from functools import partial

from puppets import Puppet, puppet, reaper_of
from running import Mesh, envoy_of, wait_for
from traces import Traces


def test_a_killed_envoy_comes_back_and_the_program_goes_on(mesh: Mesh, mode: str) -> None:
    mesh.up()
    mesh.serve("service-b", "b1")
    program = puppet(mesh, "service-a", "--capture", mode)
    assert program.get("http://service-b/data")[0] == 200
    pid, envoy = program.pid, envoy_of(program.running)
    os.kill(envoy, signal.SIGKILL)
    wait_for("another Envoy runs", lambda: _other_envoy(program, envoy))
    wait_for("the program's calls are answered", lambda: _is_answered(program))
    assert program.pid == pid
    assert [program.get("http://service-b/data")[0] for _ in range(5)] == [200] * 5


def test_killed_agents_and_reapers_leave_nothing(mesh: Mesh, mode: str) -> None:
    """The agent, its reaper, and both at once."""
    mesh.up()
    mark = uuid.uuid4().hex
    killed = [
        puppet(mesh, f"{who}-{mode}", "--capture", mode, TEST_MARK=mark + who) for who in ("agent", "reaper", "both")
    ]
    traces = [
        Traces(mesh, program, mark + who) for program, who in zip(killed, ("agent", "reaper", "both"), strict=True)
    ]
    of_agent, of_reaper, of_both = killed
    os.kill(of_agent.running.pid, signal.SIGKILL)
    os.kill(reaper_of(of_reaper.running), signal.SIGKILL)
    both = of_both.running.pid, reaper_of(of_both.running)
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in both:
            os.kill(pid, number)
    assert of_reaper.running.wait() == 125
    assert "reaper was killed" in of_reaper.running.output
    for left in traces[:2]:
        wait_for(f"nothing of {left.proxy} is left", partial(_is_clear, left))
    rest = traces[2]
    for kind in ("process", "table", "socket"):
        wait_for(f"no {kind} of {rest.proxy} is left", partial(_is_clear, rest, kind))
    # What is only a name is left to the next agent, if it is not so young that it may be one's that is about to start.
    for place in (*rest.cgroups, rest.folder):
        os.utime(place, (0, 0))
    assert mesh.run("next", "true", options=("--capture", mode)).wait() == 0
    assert not rest.left()


def _is_clear(traces: Traces, kind: str = "") -> bool:
    return not traces.left(kind)


def _other_envoy(program: Puppet, envoy: int) -> bool:
    try:
        return envoy_of(program.running) != envoy
    except StopIteration:
        return False


def _is_answered(program: Puppet) -> bool:
    code = "try: result = get('http://service-b/data', 5)[0] == 200\nexcept OSError: result = False"
    return bool(program.do(code))
