"""No program starts before its way into the mesh is proved; where it can't be, the next mode is taken, or it is an error."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from denials import needs_root, with_file
from machine import denies
from modes import MODES, skip_unless_possible
from puppets import puppet
from running import Mesh, Running, wait_for
from tulle.envoy_api import binary

TRANSPARENT = [mode for mode in MODES if mode != "proxy"]
SERVES_LATE = """
import os, pathlib, sys, time
pathlib.Path(sys.argv[1]).touch()
while not pathlib.Path(sys.argv[2]).exists():
    time.sleep(0.02)
os.execv(sys.executable, [sys.executable, *sys.argv[3:]])
"""
# Its admin says that it is live, and it takes its configuration, but answers every call with 503.
REFUSES_CALLS = """
overload_manager:
  refresh_interval: 0.01s
  resource_monitors:
  - name: envoy.resource_monitors.fixed_heap
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig
      max_heap_size_bytes: 1
  actions:
  - name: envoy.overload_actions.stop_accepting_requests
    triggers: [{name: envoy.resource_monitors.fixed_heap, threshold: {value: 0.01}}]
"""
# A firewall of the machine's, in the network of this process, for as long as that is there.
FIREWALL = """
import time
from tulle.agent.capture.nftables import OUTPUT, OwnedTable, chain, rule
from tulle.agent.capture.nftables_expressions import drop, tcp, to_ipv4_network
import socket
from tulle.agent.capture import nftables
table = OwnedTable("firewall")
table.commit(
    chain("out", "filter", OUTPUT, -300),
    rule("out", "no mesh", tcp(), to_ipv4_network(socket.inet_aton("127.64.0.0"), 10), drop()),
)
print("up", flush=True)
time.sleep(600)
"""

Starts = Callable[..., Running]


@pytest.fixture
def starts(mesh: Mesh, tmp_path: Path) -> Starts:
    """Runs a program under a mode; it leaves a file if it is ever started."""

    def run(mode: str, **env: str) -> Running:
        started = tmp_path / f"started-{mode}"
        return mesh.run(f"by-{mode}", "touch", str(started), options=("--capture", mode), **env)

    return run


def all_refuse(starts: Starts, tmp_path: Path, modes: list[str], reason: str, **env: str) -> None:
    """Each mode, asked for by name, ends with a clear error and without the program."""
    for mode, running in [(mode, starts(mode, **env)) for mode in modes if not denies(mode)]:
        assert running.wait() == 125, running.output
        assert f"--capture {mode} is not possible: " in running.output
        assert reason in running.output
        assert "Traceback" not in running.output
        assert not (tmp_path / f"started-{mode}").exists()


def test_a_program_is_registered_at_once_and_called_when_it_is_healthy(mesh: Mesh, mode: str) -> None:
    mesh.up()
    began, go = mesh.folder / "began", mesh.folder / "go"
    server = [str(Path(__file__).parent / "programs" / "server.py"), "b1"]
    words = ("-c", SERVES_LATE, str(began), str(go), *server)
    running = mesh.run("service-b", sys.executable, *words, options=("--capture", mode))
    wait_for("the program runs", began.exists)
    said = running.output
    assert f"captured by {mode}" in said
    assert "the program is healthy" not in said
    assert (service := mesh.service("service-b"))
    assert service["healthy"] == 0
    caller = puppet(mesh, "service-a", "--capture", mode)
    assert caller.get("http://service-b/data")[0] == 503
    go.touch()
    wait_for("it is in rotation", lambda: mesh.healthy("service-b") == 1)
    wait_for("it is called", lambda: caller.get("http://service-b/data")[0] == 200)


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("/etc/hosts", "127.0.0.1 localhost canary.tulle.internal\n", "127.0.0.1 to the program, not 127.127.255.254"),
        ("/etc/nsswitch.conf", "hosts: files\n", "canary.tulle.internal is not found"),
    ],
)
def test_names_that_the_machine_answers_itself_are_noticed(
    mesh: Mesh, starts: Starts, tmp_path: Path, file: str, content: str, reason: str
) -> None:
    """The mode proxy needs no names."""
    other = tmp_path / "other"
    other.write_text(content)
    prefix = with_file(Path(file), other)
    needs_root(*prefix)
    mesh.up()
    with mesh.behind(*prefix):
        by_itself = starts("auto")
        all_refuse(starts, tmp_path, TRANSPARENT, reason)
    assert by_itself.wait() == 0, by_itself.output
    for mode in ("redirect", "seccomp"):
        assert f"capture by {mode} is not possible here: " in by_itself.output
    assert reason in by_itself.output
    assert "captured by proxy" in by_itself.output


def test_an_envoy_that_answers_nothing_lets_no_program_start(mesh: Mesh, starts: Starts, tmp_path: Path) -> None:
    fake = tmp_path / "envoy"
    fake.write_text(
        f"#!/bin/sh\ncase $* in *--config-path*) set -- \"$@\" --config-yaml '{REFUSES_CALLS}';; esac\n"
        f'exec {binary.find({}).path} "$@"\n'
    )
    fake.chmod(0o755)
    mesh.up()
    all_refuse(starts, tmp_path, list(MODES), "503", TULLE_ENVOY=str(fake))
    by_itself = starts("auto", TULLE_ENVOY=str(fake))
    assert by_itself.wait() == 125
    assert "no way of capture is possible" in by_itself.output
    assert "--capture none" in by_itself.output
    assert not (tmp_path / "started-auto").exists()
    assert not list((mesh.data / "proxies").iterdir())


@pytest.fixture
def network(mesh: Mesh) -> Iterator[tuple[str, ...]]:
    """All of the mesh is in a network of the test's own, with nothing but loopback; the command that brings others there."""
    needs_root("unshare", "--net")
    script = "ip link set lo up && echo up && exec sleep 600"
    holder = subprocess.Popen(["unshare", "--net", "sh", "-c", script], stdout=subprocess.PIPE)
    assert holder.stdout
    try:
        assert holder.stdout.readline() == b"up\n"
        mesh.prefix = ("nsenter", f"--net=/proc/{holder.pid}/ns/net")
        yield mesh.prefix
    finally:
        mesh.close()
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_without_any_network_there_is_still_a_mesh(
    mesh: Mesh, network: tuple[str, ...], starts: Starts, tmp_path: Path
) -> None:
    """No route leads to a nameserver, so that no question to one can be redirected."""
    mesh.up()
    mesh.serve("service-b", "b1", options=("--capture", "proxy"))
    all_refuse(starts, tmp_path, ["redirect"], "no route to a nameserver")
    program = puppet(mesh, "service-a")
    assert "captured by seccomp" in program.running.output or denies("seccomp")
    assert program.get("http://service-b/data")[0] == 200
    assert "Temporary failure" in program.do("result = str(resolve('example.org'))")


def test_a_firewall_in_the_way_is_noticed(mesh: Mesh, network: tuple[str, ...], starts: Starts, tmp_path: Path) -> None:
    """And in the way of none of the others."""
    skip_unless_possible("redirect")
    subprocess.run([*network, "ip", "route", "add", "local", "default", "dev", "lo", "table", "main"], check=True)
    firewall = subprocess.Popen([*network, sys.executable, "-c", FIREWALL], stdout=subprocess.PIPE, env=mesh.env)
    assert firewall.stdout
    try:
        assert firewall.stdout.readline() == b"up\n"
        mesh.up()
        by_itself = starts("auto")
        all_refuse(starts, tmp_path, ["redirect"], "the connection to 127.127.255.254:80")
        assert by_itself.wait() == 0
        assert "capture by redirect is not possible here" in by_itself.output
        assert "captured by seccomp" in by_itself.output or denies("seccomp")
    finally:
        firewall.send_signal(signal.SIGKILL)
        firewall.wait()
        firewall.stdout.close()
