"""One client in each mode of capture, and one without, side by side: what the bench `capture` measures."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench import envoys
from bench.asking import Asked
from bench.meshes import Mesh
from bench.processes import Failed, children, clean_environment, command_line, free_port, process, wait_for

MODES = ("redirect", "seccomp", "netns", "proxy")
NONE = "uncaptured"
OUTSIDE = "outside.example.test"  # RFC 6761: nobody else's
# Loopback, outside of the mesh's addresses and of 127.0.0.0/16, which a program in its own namespace has for itself.
_OUTSIDE, _NAMESERVER = "127.1.0.1", "127.1.0.53"
_PROBE = "bench.programs.probe"


@dataclass(frozen=True)
class Place:
    """Where a client connects to, and what it asks for there. name: the same with a look-up, "" if there is none."""

    address: str
    port: int
    target: str = "/data"
    name: str = ""


@dataclass
class Client:
    """A client, the parts beside it by process id, and what was measured, a value a round."""

    mode: str
    asked: Asked
    parts: dict[str, int]
    service: Place
    outside: Place
    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    """around: what every command is run by, so that the names of the bench are known to it; () if that can't be."""

    mesh: Mesh
    around: tuple[str, ...]
    clients: list[Client]


def bench(folder: Path, stack: ExitStack) -> Bench:
    """A service-b, and clients of it: one without capture, and one in each mode that this machine allows."""
    around = _with_nameserver(folder, stack)
    mesh = Mesh(folder, stack, around)
    mesh.up()
    target, elsewhere = free_port(), free_port()
    program = envoys.command(folder, "program", envoys.program(target))
    mesh.run("service-b", *program, options=("--port", f"80:{target}", "--capture", "none"))
    mesh.serves("service-b")
    stack.enter_context(envoys.envoy(folder, "elsewhere", envoys.program(elsewhere, address=_OUTSIDE)))
    outside = Place(_OUTSIDE, elsewhere, name=OUTSIDE if around else "")
    clients = [_uncaptured(folder, stack, around, Place("127.0.0.1", target), outside)]
    for mode in MODES:
        try:
            clients.append(_captured(mesh, mode, outside))
        except Failed as failed:
            print(f"capture: not measured: {mode}: {str(failed).strip().splitlines()[-1]}", file=sys.stderr, flush=True)
    return Bench(mesh, around, clients)


def _uncaptured(folder: Path, stack: ExitStack, around: tuple[str, ...], service: Place, outside: Place) -> Client:
    command = (*around, sys.executable, "-m", _PROBE)
    log = folder / "uncaptured.log"
    asked = Asked(stack.enter_context(process(command, log, env=clean_environment(), pipes=True)), log)
    return Client(NONE, asked, {"client": asked.ask("pid")}, service, outside)


def _captured(mesh: Mesh, mode: str, outside: Place) -> Client:
    sidecar, asked = mesh.run_asked(f"by-{mode}", _PROBE, options=("--capture", mode))
    parts = {"client": asked.ask("pid"), "agent": sidecar.agent, "Envoy": sidecar.envoy, **helpers(sidecar.agent)}
    if mode == "proxy":
        return Client(mode, asked, parts, Place("127.0.0.1", sidecar.outbound, "http://service-b/data"), outside)
    [address] = {str(entry[4][0]) for entry in asked.ask("addresses", name="service-b")}
    return Client(mode, asked, parts, Place(address, 80, name="service-b"), outside)


def helpers(agent: int) -> dict[str, int]:
    """What an agent has running beside its Envoy, by the names of their scripts."""
    found = {}
    for pid in children(agent):
        words = command_line(pid)
        if "bootstrap.json" not in words:
            found[next((Path(word).stem for word in words if word.endswith(".py")), words[0])] = pid
    return found


def _with_nameserver(folder: Path, stack: ExitStack) -> tuple[str, ...]:
    """Starts a nameserver of our own. What uses it has it in its own view of /etc/resolv.conf, for which it takes root."""
    if os.geteuid() or not shutil.which("unshare"):
        print("capture: no root: names outside of the mesh are not measured", file=sys.stderr, flush=True)
        return ()
    command = (sys.executable, "-m", "bench.programs.nameserver", _NAMESERVER, OUTSIDE, _OUTSIDE)
    stack.enter_context(process(command, folder / "nameserver.log"))
    file = folder / "resolv.conf"
    file.write_text(f"nameserver {_NAMESERVER}\n")
    script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
    around = ("unshare", "--mount", "sh", "-c", script, str(file))
    look_up = (*around, sys.executable, "-c", f"import socket; socket.getaddrinfo({OUTSIDE!r}, 80)")
    wait_for("the nameserver answers", lambda: subprocess.run(look_up, capture_output=True).returncode == 0, 10)
    return around


def shuffled_rounds(clients: list[Client], rounds: int) -> Iterator[Client]:
    """All clients once in each round, each time in another order: a busy machine's drift hits all alike."""
    for number in range(rounds):
        yield from random.Random(number).sample(clients, len(clients))
        print(f"capture: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
