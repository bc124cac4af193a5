"""`tulle proxy NAME restart`: a sidecar gets a new Envoy under load, and nobody notices."""

from __future__ import annotations

import http.client
import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from machine import excused
from running import Caller, Load, Mesh, Running, children, command_line, envoys_of, program_of, wait_for
from tulle.agent.capture.choose import MODES as ALL_MODES
from tulle.cli.client import ControlPlane, Refused
from tulle.envoy_api import binary

MODES = [mode for mode in ALL_MODES if (mode != "none" and find_spec(f"tulle.agent.capture.{mode}")) or mode == "proxy"]

Restart = subprocess.CompletedProcess[str]


def restart(mesh: Mesh, sidecar: str, *options: str) -> Restart:
    return mesh.tulle("proxy", sidecar, "restart", *options)


def restarted(mesh: Mesh, sidecar: str) -> Restart:
    done = restart(mesh, sidecar)
    assert done.returncode == 0, done.stderr
    return done


def epoch(pid: int) -> int:
    words = command_line(pid).split()
    return int(words[words.index("--restart-epoch") + 1])


def only_one(running: Running) -> bool:
    return len(envoys_of(running)) == 1


def folder_of(running: Running) -> Path:
    """The working directory of its Envoys, which is named as the sidecar."""
    return Path(f"/proc/{envoys_of(running)[0]}/cwd").readlink()


class KeepAlive(Load):
    """The same connection for all calls of a thread, as long as the other side keeps it."""

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._caller.port, timeout=60)
        while not self._stop.is_set():
            try:
                answer = self._caller.call(self._url, self._method, connection=connection)
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                connection.close()
            else:
                if answer.status == 200:
                    self.by_instance[answer.json()["instance"]] += 1
                else:
                    self.failed.append(f"{answer.status} {answer.body[:300]!r}")
        connection.close()


@contextmanager
def loads(caller: Caller, url: str) -> Iterator[list[Load]]:
    """GET and POST, with a connection for each call and with one for all."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(kind(caller, url, threads=2, method=method))
            for kind in (Load, KeepAlive)
            for method in ("GET", "POST")
        ]


def failures(all_loads: list[Load]) -> list[str]:
    return [failure for load in all_loads for failure in load.failed]


@pytest.fixture
def options() -> tuple[str, ...]:
    """Of both sides' `tulle run`."""
    return ("--drain", "3s")


@pytest.mark.soak
def test_restarts_of_both_sides_fail_no_call(mesh: Mesh, options: tuple[str, ...]) -> None:
    """Certificates are renewed meanwhile, and services called for the first time."""
    mesh.up("--cert-ttl", "6s")
    server = mesh.serve("service-b", "b1", options=options)
    others = [f"other-{number}" for number in range(3)]
    for name in others:
        mesh.serve(name, name, options=options)
    caller = mesh.caller(options=options)
    program = program_of(server)
    with loads(caller, "http://service-b/data") as running:
        for round_, other in enumerate(others, 1):
            with ThreadPoolExecutor(3) as threads:
                done = [threads.submit(restarted, mesh, sidecar) for sidecar in ("service-a", "service-b")]
                first = caller.call(f"http://{other}/data")
                assert (first.status, first.json()["instance"]) == (200, other)
                for asked in done:
                    assert "the old one ends after its last call" in asked.result().stderr
            for load in running:
                load.more(50)
            for each in (caller.running, server):
                assert max(map(epoch, envoys_of(each))) == round_
    assert not failures(running)
    assert program_of(server) == program
    for each in (caller.running, server):
        wait_for("the old ones are gone", partial(only_one, each))
    assert "again" not in server.output + caller.running.output


@pytest.mark.parametrize("capture", MODES)
def test_a_captured_program_does_not_notice(mesh: Mesh, capture: str) -> None:
    mesh.up()
    mesh.serve("service-b", "b1", options=("--drain", "3s"))
    stop, runs = mesh.folder / "stop", mesh.folder / "runs"
    arguments = ("http://service-b/data", str(stop), str(runs))
    program = mesh.run("service-a", "hammer.py", *arguments, options=("--capture", capture, "--drain", "3s"))
    wait_for("it calls", lambda: runs.exists() or program.process.poll() is not None)
    if f"--capture {capture} is not possible" in program.output:
        excused(capture, program.output)
    for _ in range(3):
        for sidecar in ("service-a", "service-b"):
            restarted(mesh, sidecar)
    stop.touch()
    assert program.wait() == 0, program.output
    said = next(json.loads(line) for line in program.output.splitlines() if line.startswith("{"))
    assert not said["failed"]
    assert said["answered"] > 50


def test_the_new_envoy_holds_what_the_old_one_held_before_it_is_asked(mesh: Mesh, options: tuple[str, ...]) -> None:
    control_plane = mesh.up()
    mesh.serve("service-b", "b1", options=options)
    caller = mesh.caller(options=options)
    assert caller.call("http://service-b/data").status == 200
    restarted(mesh, "service-a")
    proxy = mesh.json("proxy", "service-a")
    assert proxy["in_sync"]
    assert [cluster["state"] for cluster in mesh.json("proxy", "service-a", "endpoints")] == ["acked"]
    control_plane.kill()
    assert caller.call("http://service-b/data").status == 200


def test_the_restart_is_told_in_json_too(mesh: Mesh) -> None:
    mesh.up()
    caller = mesh.caller()
    done = mesh.json("proxy", "service-a", "restart")
    assert done["proxy"] == caller.proxy
    assert 0 < done["seconds"] < 60


def test_a_restart_of_a_sidecar_that_is_not_there_is_refused(mesh: Mesh) -> None:
    mesh.up()
    done = restart(mesh, "service-a")
    assert done.returncode == 1
    assert "there is no sidecar service-a" in done.stderr


@pytest.fixture
def envoy(tmp_path: Path) -> Callable[[str], str]:
    """Makes what TULLE_ENVOY names: an Envoy that does something else first, when it is to take over from another."""
    file = tmp_path / "envoy"

    def write(instead: str) -> str:
        aside = tmp_path / "envoy.new"
        text = f'#!/bin/sh\ncase "$*" in *"--restart-epoch 0"*|--version) ;; *) {instead or ":"};; esac\n'
        aside.write_text(f'{text}exec {shlex.quote(str(binary.find().path))} "$@"\n')
        aside.chmod(0o755)
        aside.replace(file)
        return str(file)

    return write


def test_an_envoy_that_does_not_start_leaves_the_old_one(mesh: Mesh, envoy: Callable[[str], str]) -> None:
    mesh.up()
    server = mesh.serve("service-b", "b1", TULLE_ENVOY=envoy("echo the reason >&2; exit 1"))
    with mesh.caller().load("http://service-b/data") as load:
        done = restart(mesh, "service-b")
        assert done.returncode == 1
        assert "ended with exit code 1 and said:\n  the reason\nthe old Envoy goes on" in done.stderr
        load.more(50)
        envoy("")
        restarted(mesh, "service-b")
        load.more(50)
    assert not load.failed
    assert max(map(epoch, envoys_of(server))) == 1
    Path(mesh.folder / "envoy").unlink()
    done = restart(mesh, "service-b")
    assert done.returncode == 1
    assert "there is no Envoy at" in done.stderr
    assert "the old Envoy goes on" in done.stderr


def test_an_envoy_that_takes_no_calls_in_time_is_given_up(mesh: Mesh, envoy: Callable[[str], str]) -> None:
    mesh.up()
    server = mesh.serve("service-b", "b1", TULLE_ENVOY=envoy(f"touch {mesh.folder / 'hangs'}; exec sleep 60"))
    with mesh.caller().load("http://service-b/data") as load, ThreadPoolExecutor(1) as threads:
        (proxy,) = (one["id"] for one in mesh.proxies() if one["service"] == "service-b")
        first = threads.submit(restart, mesh, "service-b", "--timeout", "3s")
        wait_for("the new one hangs", (mesh.folder / "hangs").exists)
        with pytest.raises(Refused, match="a restart of this sidecar is under way already"):
            ControlPlane(mesh.data).post(f"/v1/proxies/{proxy}/restart", Any, 10)  # no command: to start one takes long
        assert first.result().returncode == 1
        assert "the new Envoy takes no calls after 3 s\nthe old Envoy goes on" in first.result().stderr
        load.more(50)
    assert not load.failed
    assert len(envoys_of(server)) == 1
    assert not [pid for pid in children(server.pid) if "sleep 60" in command_line(pid)]


def test_a_new_envoy_that_is_killed_as_it_starts_leaves_one_that_serves(mesh: Mesh) -> None:
    """At whatever moment that is: before it has taken over the old one goes on, after that a fresh one is started."""
    mesh.up()
    server = mesh.serve("service-b", "b1", options=("--drain", "1s"))
    sidecar = folder_of(server).name
    mesh.serve("service-b", "b2")
    with mesh.caller().load("http://service-b/data") as load:
        for delay in (0.0, 0.01, 0.02, 0.03, 0.04, 0.06):
            known = set(envoys_of(server))
            with ThreadPoolExecutor(1) as threads:
                done = threads.submit(restart, mesh, sidecar)
                _kill_new(server, known, delay)
                done.result()
            load.more(50)
            wait_for("both serve", lambda: mesh.healthy("service-b") == 2)
        restarted(mesh, sidecar)
        load.more(50)
    assert not load.failed


def _kill_new(server: Running, known: set[int], delay: float) -> None:
    deadline = time.monotonic() + 30
    while not (new := set(envoys_of(server)) - known):
        assert time.monotonic() < deadline
    time.sleep(delay)
    for pid in new:
        os.kill(pid, signal.SIGKILL)


def test_a_killed_envoy_comes_back_after_a_restart(mesh: Mesh) -> None:
    """The one that drains and the one that has taken over."""
    mesh.up()
    server = mesh.serve("service-b", "b1")
    mesh.serve("service-b", "b2")
    program, sidecar = program_of(server), folder_of(server).name
    with mesh.caller().load("http://service-b/data") as load:
        restarted(mesh, sidecar)
        for pid in sorted(envoys_of(server), key=epoch):
            os.kill(pid, signal.SIGKILL)
        wait_for("a fresh one serves", lambda: [epoch(pid) for pid in envoys_of(server)] == [0])
        wait_for("both serve", lambda: mesh.healthy("service-b") == 2)
        load.more(100)
        restarted(mesh, sidecar)
        load.more(50)
    assert not load.failed
    assert program_of(server) == program


def test_a_download_goes_on_through_a_restart(mesh: Mesh, options: tuple[str, ...]) -> None:
    mesh.up()
    go_on = mesh.folder / "next"
    mesh.run("streams", "streams.py", str(go_on), options=("--drain", "30s"))
    wait_for("it is healthy", lambda: mesh.healthy("streams") == 1)
    caller = mesh.caller(options=("--drain", "30s"))
    connection = http.client.HTTPConnection("127.0.0.1", caller.port, timeout=30)
    connection.request("GET", "http://streams/slow")
    answer = connection.getresponse()
    assert answer.readline() == b"part 0\n"
    restarted(mesh, "streams")
    restarted(mesh, "service-a")
    for part in (1, 2):
        go_on.touch()
        assert answer.readline() == b"part %d\n" % part
    go_on.touch()
    connection.close()
    wait_for("the old one has ended with its last call", lambda: len(envoys_of(caller.running)) == 1, 20)


async def test_a_websocket_lasts_as_long_as_the_drain_and_no_longer(mesh: Mesh) -> None:
    mesh.up()
    mesh.run("streams", "streams.py", str(mesh.folder / "next"))
    wait_for("it is healthy", lambda: mesh.healthy("streams") == 1)
    caller = mesh.caller(options=("--drain", "10s"))
    proxy = f"http://127.0.0.1:{caller.port}"
    async with aiohttp.ClientSession() as session, session.ws_connect("http://streams/ws", proxy=proxy) as socket:
        restarted(mesh, "service-a")
        second = restart(mesh, "service-a", "--timeout", "500ms")
        assert second.returncode == 1
        assert "one replaced before still has callers after 0.5 s\nthe old Envoy goes on" in second.stderr
        await socket.send_str("after")
        assert await socket.receive_str(timeout=30) == "echo after"
        message = await socket.receive(timeout=30)
        assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR, aiohttp.WSMsgType.CLOSE)
    wait_for("the old one is gone", lambda: len(envoys_of(caller.running)) == 1)


def test_the_end_waits_for_calls_at_the_old_envoy_too(mesh: Mesh) -> None:
    mesh.up()
    server = mesh.serve("service-b", "b1")
    caller = mesh.caller()
    arrived, go_on = mesh.folder / "arrived", mesh.folder / "next"
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(caller.call, f"http://service-b/data?until={go_on}&touch={arrived}")
        wait_for("the call has arrived", arrived.exists)
        restarted(mesh, "service-b")
        server.process.terminate()
        wait_for("nobody else calls it any more", lambda: mesh.healthy("service-b") == 0)
        assert not call.done()
        go_on.touch()
        assert call.result().status == 200
    assert server.wait() == 143


@pytest.mark.parametrize("how", ["stopped", "killed", "killed in a restart"])
def test_nothing_is_left_in_shared_memory(mesh: Mesh, envoy: Callable[[str], str], how: str) -> None:
    mesh.up()
    running = mesh.caller().running if how != "killed in a restart" else None
    if running is None:
        running = mesh.serve("service-a", "a1", TULLE_ENVOY=envoy(f"touch {mesh.folder / 'hangs'}; exec sleep 60"))
    link = folder_of(running) / ".shared-memory"
    first = link.readlink()
    assert first.exists()
    assert first.stat().st_mode & 0o777 == 0o600
    os.kill(envoys_of(running)[0], signal.SIGKILL)
    wait_for("a fresh Envoy has its own", lambda: link.is_symlink() and link.readlink() != first and link.exists())
    assert not first.exists()
    second = link.readlink()
    everything = children(running.pid)
    if how == "stopped":
        running.stop()
    elif how == "killed":
        running.kill()
    else:
        wait_for("it is live", lambda: mesh.healthy("service-a") == 1)
        with ThreadPoolExecutor(1) as threads:
            threads.submit(restart, mesh, "service-a")
            wait_for("the new one hangs", (mesh.folder / "hangs").exists)
            everything = children(running.pid)
            running.kill()
    wait_for("it is gone", lambda: not second.exists() and not link.parent.exists())
    wait_for("nothing of it is left", lambda: not any(command_line(p) for p in everything))
