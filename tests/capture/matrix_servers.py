"""The servers of the matrix, each as a user starts it: HTTP, gRPC, streams, two that speak first, PostgreSQL, Redis.

PostgreSQL and Redis listen on the ports that they are known for, found by themselves, in modes of capture that move them
where the machine's own is on that port. Where such a mode is not allowed, they are told another port.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from running import Mesh, Running

HERE = Path(__file__).parent
_NOBODY = "65534"


@dataclass(frozen=True)
class Server:
    """otherwise: starts it in the mode that `auto` takes."""

    service: str
    running: Running
    otherwise: Callable[[], Running] | None = None


def http_and_greeters(mesh: Mesh) -> Iterator[Server]:
    """What needs nothing but Python."""
    http, other, a, b = (_free_port() for _ in range(4))

    def started(service: str, program: str, *arguments: object, options: tuple[str, ...] = ()) -> Server:
        words = (sys.executable, str(HERE / "servers" / program), *map(str, arguments))
        return Server(service, mesh.run(service, *words, options=options))

    two_ports = ("--port", f"80:{http}", "--port", f"8080:{other}")
    yield started("service-b", "http_server.py", f"b-80:{http}", f"b-8080:{other}", options=two_ports)
    yield started("streams", "stream_server.py")
    yield started("echo", "grpc_server.py", options=("--port", "grpc-api:50051"))
    yield started("greeter-a", "greeter.py", "greeter-a", a, options=("--port", f"7000:{a}/tcp"))
    yield started("greeter-b", "greeter.py", "greeter-b", b, options=("--port", f"7000:{b}/tcp"))


def database(mesh: Mesh, stack: ExitStack) -> Iterator[Server]:
    """PostgreSQL, if it is there. It does not run as root, so that root's changes its user, below `tulle run`."""
    folder = _postgres_folder()
    if folder is None:
        return
    # Not in the tests' own folder, which another user may not enter.
    data = stack.enter_context(tempfile.TemporaryDirectory(prefix="tulle-test-db-", ignore_cleanup_errors=True))
    user: list[str] = []
    if os.geteuid() == 0:
        os.chown(data, int(_NOBODY), int(_NOBODY))
        user = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
    make = [*user, f"{folder}/initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "--no-instructions"]
    subprocess.run(make, check=True, capture_output=True, cwd="/")

    def command(port: int) -> list[str]:
        settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [*user, f"{folder}/postgres", "-D", data, *options]

    yield _on_its_port(mesh, "db", 5432, "netns", command)


def cache(mesh: Mesh) -> Iterator[Server]:
    """Redis, if it is there."""
    if shutil.which("redis-server") is None:
        return

    def command(port: int) -> list[str]:
        return ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(mesh.folder)]

    yield _on_its_port(mesh, "cache", 6379, "seccomp", command)


def _on_its_port(mesh: Mesh, service: str, port: int, mode: str, command: Callable[[int], list[str]]) -> Server:
    def otherwise() -> Running:
        free = _free_port()
        return mesh.run(service, *command(free), options=("--port", f"{port}:{free}"))

    return Server(service, mesh.run(service, *command(port), options=("--capture", mode)), otherwise)


def _postgres_folder() -> str | None:
    """Debian keeps its programs off the PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    found = str(debian[-1]) if debian else shutil.which("postgres")
    return str(Path(found).resolve().parent) if found else None


def static_client(folder: Path) -> list[str] | None:
    """A command that fetches http://service-b/data by a statically linked program."""
    if binary := _compiled("gcc", folder):
        return [binary, "service-b"]
    if (busybox := shutil.which("busybox")) and _is_static(busybox):
        return [busybox, "wget", "-Y", "off", "-q", "-O", "-", "http://service-b/data"]
    return None


def musl_client(folder: Path) -> list[str] | None:
    """The same by one of musl, another C library."""
    binary = _compiled("musl-gcc", folder)
    return [binary, "service-b"] if binary else None


def _compiled(compiler: str, folder: Path) -> str | None:
    if shutil.which(compiler) is None:
        return None
    binary = folder / f"static_by_{compiler}"
    source = HERE / "clients" / "static_client.c"
    done = subprocess.run([compiler, "-static", "-w", "-o", str(binary), str(source)], capture_output=True)
    return str(binary) if done.returncode == 0 else None


def _is_static(file: str) -> bool:
    return subprocess.run(["ldd", file], capture_output=True).returncode != 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
