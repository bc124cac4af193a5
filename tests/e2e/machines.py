"""Machines of their own for a test, as far as the network goes: network namespaces on one switch, each with an address.

A namespace lives as long as the process that was started in it, and its cables with it, so nothing can be left behind. For
root, and where iproute2 is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from running import Mesh, Running, wait_for


@dataclass(frozen=True)
class Machine:
    """data: its tulle's state folder."""

    address: str
    process: int
    data: Path

    @property
    def prefix(self) -> tuple[str, ...]:
        """Before a command that is to run there."""
        return ("nsenter", f"--net=/proc/{self.process}/ns/net")

    def does(self, *command: str, **options: str) -> str:
        """What a command says there."""
        return subprocess.run([*self.prefix, *command], check=True, capture_output=True, text=True, **options).stdout  # type: ignore[call-overload,no-any-return]

    def start(self, mesh: Mesh, name: str, *words: str, **env: str) -> Running:
        with mesh.behind(*self.prefix):
            return mesh.start(name, *words, **{"TULLE_DATA": str(self.data), **env})


def skip_unless_possible() -> None:
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "nsenter", "unshare"))):
        pytest.skip("needs root, iproute2 and util-linux")
    if subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespace can be made here")


@contextmanager
def machines(folder: Path, count: int) -> Iterator[list[Machine]]:
    """Machines 10.77.0.1, 10.77.0.2 and so on."""
    skip_unless_possible()
    held = [
        subprocess.Popen(["unshare", "--net", "sleep", "infinity"], start_new_session=True) for _ in range(count + 1)
    ]
    try:
        own = os.readlink("/proc/self/ns/net")
        for each in held:
            wait_for("the namespace is there", lambda each=each: os.readlink(f"/proc/{each.pid}/ns/net") != own)  # type: ignore[misc]
        switch, *others = (each.pid for each in held)
        _ip(switch, "link", "add", "switch", "type", "bridge")
        _ip(switch, "link", "set", "switch", "up")
        found = []
        for number, process in enumerate(others, 1):
            _ip(switch, "link", "add", f"port{number}", "type", "veth", "peer", "name", "eth0", "netns", str(process))
            _ip(switch, "link", "set", f"port{number}", "master", "switch", "up")
            address = f"10.77.0.{number}"
            _ip(process, "address", "add", f"{address}/24", "dev", "eth0")
            _ip(process, "link", "set", "lo", "up")
            _ip(process, "link", "set", "eth0", "up")
            found.append(Machine(address, process, folder / f"machine-{number}"))
        yield found
    finally:
        for each in held:
            each.kill()
            each.wait()


def _ip(process: int, *words: str) -> None:
    command = ["nsenter", f"--net=/proc/{process}/ns/net", "ip", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stderr)
