"""The mesh of the matrix: its servers and its callers, in a mount namespace with names of our own.

What a machine lacks is left out, and told to the clients, which say then what they could not try.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import outside
from matrix_servers import Server, cache, database, http_and_greeters, musl_client, static_client
from running import Mesh, Running, wait_for

HERE = Path(__file__).parent
NOT_POSSIBLE = "is not possible: "
MODES = ("redirect", "seccomp", "netns", "proxy")
_PRIVATE = 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 && exec "$@"'


class MatrixMesh(Mesh):
    """settings: what the clients are told."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.settings: dict[str, Any] = {}

    def wait_healthy(self, server: Server) -> None:
        """Takes the other way to start it if this machine does not allow its mode of capture."""

        running = server.running

        def answers() -> bool:
            nonlocal running
            if running.process.poll() is not None and NOT_POSSIBLE in running.output and server.otherwise:
                running = server.otherwise()
            return self._alive(running) and self.healthy(server.service) > 0

        wait_for(f"{server.service} is healthy", answers)

    def call_everything(self, mode: str) -> Running:
        """All clients, one after the other, in one mode."""
        settings = self.settings | {"mode": mode, "number": MODES.index(mode)}
        program = [sys.executable, str(HERE / "clients" / "everything.py")]
        words = ("run", f"caller-{mode}", "--capture", mode, "--", *program)
        return self.start(f"caller-{mode}", *words, MATRIX=json.dumps(settings))


@contextmanager
def matrix_mesh(folder: Path) -> Iterator[MatrixMesh]:
    """With all its servers healthy."""
    with ExitStack() as stack:
        mesh = MatrixMesh(folder)
        stack.callback(mesh.close)
        there = stack.enter_context(outside.server())
        mesh.prefix = tuple(stack.enter_context(_private_names(folder, there.own_address or outside.ADDRESS)))
        mesh.up()
        servers = [*http_and_greeters(mesh), *database(mesh, stack), *cache(mesh)]
        mesh.settings = {
            "services": [server.service for server in servers],
            "private": bool(mesh.prefix),
            "outside": outside.ADDRESS,
            "outside_port": there.port,
            "outside_port6": there.port6,
            "outside_test": there.own_address or outside.ADDRESS,
            "own_address": there.own_address,
            "no_new_privs": "NoNewPrivs:\t1\n" in Path("/proc/self/status").read_text(),
            "static": static_client(folder),
            "musl": musl_client(folder),
        }
        for server in servers:
            mesh.wait_healthy(server)
        yield mesh


@contextmanager
def _private_names(folder: Path, outside_test: str) -> Iterator[list[str]]:
    """What to begin a command with for it to see a hosts file and a nameserver of our own; nothing if that is not allowed."""
    hosts, resolv_conf = folder / "hosts", folder / "resolv.conf"
    as_ours = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _PRIVATE]
    command = [*as_ours, "sh", str(hosts), str(resolv_conf)]
    if os.geteuid() != 0 or not _works(command, hosts, resolv_conf):
        yield []
        return
    with outside.nameserver(outside_test) as address:
        resolv_conf.write_text(f"nameserver {address}\nsearch {outside.DOMAIN}\n")
        yield command


def _works(command: list[str], hosts: Path, resolv_conf: Path) -> bool:
    hosts.write_text(outside.HOSTS)
    resolv_conf.touch()
    return subprocess.run([*command, "true"], capture_output=True).returncode == 0
