"""The mesh of the matrix: one server of each kind, and the callers, in a mount namespace with names of our own.

What a machine lacks (PostgreSQL, Redis, a compiler) is left out, and told to the clients, which say then what they could
not try.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import outside
from running import TULLE, Mesh, Running, wait_for

HERE = Path(__file__).parent
MODES = ("redirect", "seccomp", "netns", "proxy")
_NOBODY = "65534"
_PRIVATE = 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 && exec "$@"'


class MatrixMesh(Mesh):
    """settings: what the clients are told."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.prefix: list[str] = []
        self.settings: dict[str, Any] = {}

    def start(self, name: str, *words: str, **env: str) -> Running:
        log = self.folder / f"{name}-{len(self.running)}.log"
        running = Running(name, [*self.prefix, *TULLE, *words], log, {**self.env, **env})
        self.running.append(running)
        return running

    def wait_healthy(self, service: str, running: Running) -> None:
        wait_for(f"{service} is healthy", lambda: self._alive(running) and self.healthy(service))

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
        mesh.prefix = stack.enter_context(_private_names(folder, there.own_address or outside.ADDRESS))
        mesh.up()
        servers = {**_servers(mesh), **_database(stack, mesh), **_cache(mesh)}
        mesh.settings = {
            "services": list(servers),
            "private": bool(mesh.prefix),
            "outside": outside.ADDRESS,
            "outside_port": there.port,
            "outside_port6": there.port6,
            "outside_test": there.own_address or outside.ADDRESS,
            "own_address": there.own_address,
            "static": _static_client(folder),
        }
        for service, running in servers.items():
            mesh.wait_healthy(service, running)
        yield mesh


@contextmanager
def _private_names(folder: Path, outside_test: str) -> Iterator[list[str]]:
    """What to begin a command with for it to see a hosts file and a nameserver of our own; nothing if that is not allowed."""
    hosts, resolv_conf = folder / "hosts", folder / "resolv.conf"
    command = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        _PRIVATE,
        "sh",
        str(hosts),
        str(resolv_conf),
    ]
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


def _servers(mesh: MatrixMesh) -> dict[str, Running]:
    """Those that are always there. What has a well-known port gets another one, as the machine's own may be taken."""
    http, other, a, b = (_free_port() for _ in range(4))

    def run(service: str, program: str, *arguments: object, options: tuple[str, ...] = ()) -> Running:
        words = (sys.executable, str(HERE / "servers" / program), *map(str, arguments))
        return mesh.run(service, *words, options=options)

    two_ports = ("--port", f"80:{http}", "--port", f"8080:{other}")
    return {
        "service-b": run("service-b", "http_server.py", f"b-80:{http}", f"b-8080:{other}", options=two_ports),
        "streams": run("streams", "stream_server.py"),
        "echo": run("echo", "grpc_server.py", options=("--port", "grpc-api:50051")),
        "greeter-a": run("greeter-a", "greeter.py", "greeter-a", a, options=("--port", f"7000:{a}/tcp")),
        "greeter-b": run("greeter-b", "greeter.py", "greeter-b", b, options=("--port", f"7000:{b}/tcp")),
    }


def _database(stack: ExitStack, mesh: MatrixMesh) -> dict[str, Running]:
    """PostgreSQL. It does not run as root, so that root's changes its user, below `tulle run`."""
    folder = _postgres_folder()
    if folder is None:
        return {}
    # Not in the tests' own folder, which another user may not enter.
    data = stack.enter_context(tempfile.TemporaryDirectory(prefix="tulle-test-db-", ignore_cleanup_errors=True))
    user: list[str] = []
    if os.geteuid() == 0:
        os.chown(data, int(_NOBODY), int(_NOBODY))
        user = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
    make = [*user, f"{folder}/initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "--no-instructions"]
    subprocess.run(make, check=True, capture_output=True, cwd="/")
    port = _free_port()
    settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off"}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    command = [*user, f"{folder}/postgres", "-D", data, *options]
    return {"db": mesh.run("db", *command, options=("--port", f"5432:{port}"))}


def _postgres_folder() -> str | None:
    """Debian keeps its programs off the PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    found = str(debian[-1]) if debian else shutil.which("postgres")
    return str(Path(found).resolve().parent) if found else None


def _cache(mesh: MatrixMesh) -> dict[str, Running]:
    if shutil.which("redis-server") is None:
        return {}
    port = _free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(mesh.folder)]
    return {"cache": mesh.run("cache", *command, options=("--port", f"6379:{port}"))}


def _static_client(folder: Path) -> list[str] | None:
    """A command that fetches http://service-b/data by a statically linked program."""
    binary = folder / "static_client"
    source = HERE / "clients" / "static_client.c"
    if shutil.which("gcc"):
        done = subprocess.run(["gcc", "-static", "-w", "-o", str(binary), str(source)], capture_output=True)
        if done.returncode == 0:
            return [str(binary), "service-b"]
    if (busybox := shutil.which("busybox")) and _is_static(busybox):
        return [busybox, "wget", "-Y", "off", "-q", "-O", "-", "http://service-b/data"]
    return None


def _is_static(file: str) -> bool:
    return subprocess.run(["ldd", file], capture_output=True).returncode != 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
