"""What dies, and what a caller notices of it: nothing."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from running import Mesh, children, command_line, envoy_of, kill_program, program_of, wait_for


def two_instances(mesh: Mesh) -> None:
    mesh.up()
    for name in ("b1", "b2"):
        mesh.serve("service-b", name)


def test_a_killed_program_costs_no_call(mesh: Mesh) -> None:
    two_instances(mesh)
    victim = mesh.running[1]
    with mesh.caller().load("http://service-b/data") as load:
        load.more(300)
        os.kill(program_of(victim), signal.SIGKILL)
        killed = time.monotonic()
        wait_for("it is out of rotation", lambda: mesh.healthy("service-b") == 1)
        out_after = time.monotonic() - killed
        load.more(500)
    assert not load.failed
    assert load.by_instance["b1"] and load.by_instance["b2"]
    assert out_after < 5  # a second on a calm machine; asking takes part of it
    assert victim.wait() == 128 + signal.SIGKILL


def test_a_killed_program_costs_no_post_that_it_had_not_seen(mesh: Mesh) -> None:
    """Between a program's death and its leaving the rotation, its sidecar refuses calls that the caller's may repeat."""
    two_instances(mesh)
    caller = mesh.caller()
    assert caller.call("http://service-b/data", "POST", b"x").status == 200
    kill_program(mesh.running[1])
    answers = [caller.call("http://service-b/data", "POST", b"x") for _ in range(200)]
    assert {a.status for a in answers} == {200}, [a.body for a in answers if a.status != 200][:1]


def test_a_killed_envoy_of_an_instance_costs_no_call_and_comes_back(mesh: Mesh) -> None:
    two_instances(mesh)
    victim = mesh.running[1]
    with mesh.caller().load("http://service-b/data") as load:
        load.more(300)
        program, before = program_of(victim), envoy_of(victim)
        os.kill(before, signal.SIGKILL)
        load.more(300)
        wait_for(
            "a new Envoy runs",
            lambda: any("bootstrap.json" in command_line(p) for p in children(victim.pid) if p != before),
        )
        wait_for("both serve again", lambda: mesh.healthy("service-b") == 2)
        load.more(300)
        assert program_of(victim) == program
    assert not load.failed


def test_a_killed_agent_takes_everything_with_it_and_costs_no_call(mesh: Mesh) -> None:
    two_instances(mesh)
    victim = mesh.running[1]
    everything = children(victim.pid)
    folders = set((mesh.data / "proxies").iterdir())
    with mesh.caller().load("http://service-b/data") as load:
        load.more(300)
        victim.kill()
        wait_for("nothing of it is left", lambda: not any(command_line(p) for p in everything))
        wait_for("it is out of rotation", lambda: mesh.healthy("service-b") == 1)
        wait_for(
            "its folder is gone", lambda: len(folders & set((mesh.data / "proxies").iterdir())) == len(folders) - 1
        )
        load.more(300)
    assert not load.failed


def test_a_killed_control_plane_costs_no_call_and_forgets_nothing(mesh: Mesh) -> None:
    two_instances(mesh)
    with mesh.caller().load("http://service-b/data") as load:
        load.more(300)
        mesh.running[0].kill()
        load.more(500)
        mesh.up()
        assert mesh.healthy("service-b") == 2
        wait_for("all sidecars are in sync again", lambda: all(p["in_sync"] for p in mesh.proxies()))
        load.more(500)
    assert not load.failed
    mesh.serve("service-b", "b3")


def test_a_stopped_control_plane_takes_no_instance_out(mesh: Mesh) -> None:
    two_instances(mesh)
    with mesh.caller().load("http://service-b/data", threads=1) as load:
        mesh.running[0].signal(signal.SIGSTOP)
        time.sleep(10)
        mesh.running[0].signal(signal.SIGCONT)
        for _ in range(20):
            assert mesh.healthy("service-b") == 2
            time.sleep(0.2)
        load.more(100)
    assert not load.failed


def test_a_silent_agent_is_out_within_its_lease_and_back_when_it_speaks(mesh: Mesh) -> None:
    two_instances(mesh)
    mesh.running[1].signal(signal.SIGSTOP)
    stopped = time.monotonic()
    wait_for("the silent one is out", lambda: mesh.healthy("service-b") == 1)
    assert time.monotonic() - stopped < 10  # 5 s on a calm machine
    mesh.running[1].signal(signal.SIGCONT)
    wait_for("it is back", lambda: mesh.healthy("service-b") == 2)


@pytest.mark.parametrize("restarts", [6])
def test_a_rolling_restart_of_two_instances_fails_no_call(mesh: Mesh, restarts: int) -> None:
    two_instances(mesh)
    instances = mesh.running[1:3]
    with (
        mesh.caller().load("http://service-b/data?sleep=0.02", threads=8) as load,
        mesh.caller("service-p").load("http://service-b/data?sleep=0.02", threads=4, method="POST") as posts,
    ):
        for number in range(restarts):
            assert instances.pop(0).stop() == 143
            instances.append(mesh.serve("service-b", f"b{number + 3}"))
            load.more(100)
    assert not load.failed
    assert not posts.failed
    assert len(load.by_instance) >= restarts


def test_a_call_in_flight_is_finished_before_its_program_ends(mesh: Mesh) -> None:
    mesh.up()
    instance = mesh.serve("service-b", "b1")
    caller = mesh.caller()
    with ThreadPoolExecutor(1) as thread:
        call = thread.submit(caller.call, f"http://service-b/data?sleep=2&touch={mesh.folder / 'arrived'}")
        wait_for("the call has arrived", (mesh.folder / "arrived").exists)
        instance.process.terminate()
        assert call.result().status == 200
    assert instance.wait() == 143
