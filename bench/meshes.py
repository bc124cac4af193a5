"""A whole mesh, run as a user runs it: `tulle up`, `tulle run`, in a state folder of its own."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.asking import Asked
from bench.processes import Failed, children, clean_environment, command_line, process, wait_for

TULLE = (sys.executable, "-m", "tulle")


@dataclass(frozen=True)
class Sidecar:
    """A running `tulle run`. agent: its process; outbound: the port for its program's calls."""

    id: str
    agent: int
    envoy: int
    outbound: int
    folder: Path


class Mesh:
    """What it starts ends with the stack that it is given, or by `stop`."""

    def __init__(self, folder: Path, stack: ExitStack, around: tuple[str, ...] = (), data: Path | None = None) -> None:
        """folder: for its logs, and for its state if that is not at `data`. around: a command that runs those of `tulle`."""
        self.folder = folder
        self.around = around
        self.data = data or folder / "state"
        self.env = {**clean_environment(), "PYTHONUNBUFFERED": "1", "TULLE_DATA": str(self.data)}
        self._stack = stack.enter_context(ExitStack())
        self._started = 0

    def up(self, *options: str) -> int:
        """The process id of a control plane that is ready."""
        control_plane, log = self.start("up", *options)
        wait_for("the control plane is ready", lambda: _said(control_plane, log, "ready:"))
        return control_plane.pid

    def run(self, service: str, *program: str, options: tuple[str, ...] = ()) -> Sidecar:
        """An instance of the service, once its sidecar holds all that it should."""
        return self._sidecar(service, *self.start("run", service, *options, "--", *program))

    def run_asked(
        self, service: str, module: str, *arguments: str, options: tuple[str, ...] = ()
    ) -> tuple[Sidecar, Asked]:
        """The same with a program that is a Python module and is asked; its sidecar has proved the way by then."""
        words = ("run", service, *options, "--", sys.executable, "-m", module, *arguments)
        running, log = self.start(*words, pipes=True)
        return self._sidecar(service, running, log), Asked(running, log)

    def start(self, *words: str, pipes: bool = False) -> tuple[subprocess.Popen[bytes], Path]:
        """A `tulle` command, just started, and where its output goes."""
        self._started += 1
        log = self.folder / f"{words[0]}-{self._started}.log"
        command = (*self.around, *TULLE, *words)
        return self._stack.enter_context(process(command, log, env=self.env, pipes=pipes)), log

    def _sidecar(self, service: str, running: subprocess.Popen[bytes], log: Path) -> Sidecar:
        wait_for(f"{service} is in the mesh", lambda: _said(running, log, "is in the mesh"))
        proxy = wait_for(f"{service} is registered", lambda: self._proxy_of(log))
        [envoy] = [p for p in children(running.pid) if "bootstrap.json" in command_line(p)]
        folder = self.data / "proxies" / proxy["id"]
        return Sidecar(proxy["id"], running.pid, envoy, proxy["outbound_port"], folder)

    def ask(self, *words: str) -> Any:
        """What a command of `tulle` says in JSON."""
        done = subprocess.run((*TULLE, *words, "-o", "json"), env=self.env, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise Failed(f"tulle {' '.join(words)}: {done.stderr}")
        return json.loads(done.stdout)

    def serves(self, service: str, instances: int = 1) -> None:
        """Waits until that many instances of it are in rotation."""

        def healthy() -> bool:
            return any(s["name"] == service and s["healthy"] >= instances for s in self.ask("services"))

        wait_for(f"{service} is served", healthy, pause=0.2)

    def said(self) -> str:
        """All that it has started has said so far."""
        return "".join(log.read_text(errors="replace") for log in sorted(self.folder.glob("*.log")))

    def stop(self) -> None:
        """Ends everything, the newest first."""
        self._stack.close()

    def _proxy_of(self, log: Path) -> Any:
        said = log.read_text()
        return next((p for p in self.ask("proxies") if f"{p['id']} is in the mesh" in said), None)


def call(port: int, host: str, path: str = "/data") -> int:
    """The status that one call gets, on a connection of its own, through the outbound door `port`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def _said(running: subprocess.Popen[bytes], log: Path, words: str) -> bool:
    """Raises Failed if the process has ended."""
    said = log.read_text(errors="replace")
    if running.poll() is not None:
        raise Failed(f"{log.name} ended with exit code {running.returncode}:\n{said}")
    return words in said
