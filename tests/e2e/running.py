"""A whole mesh, run as a user runs it: `tulle up`, `tulle run`, real Envoys, programs that know nothing of tulle."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from tulle.cli.client import ControlPlane
from tulle.cli.exits import Failed, Unreachable

TULLE = os.environ.get("TULLE_COMMAND", f"{sys.executable} -m tulle").split()
PROGRAMS = Path(__file__).parent / "programs"
DEADLINE = 30.0  # generous: the machine may be busy; nothing is asserted about speed


def wait_for(what: str, true: Callable[[], Any], seconds: float = DEADLINE) -> Any:
    """The first true value of `true()`; polls, as the thing waited for is outside of this process."""
    until = time.monotonic() + seconds
    while not (value := true()):
        if time.monotonic() > until:
            raise AssertionError(f"waited {seconds:.0f} s in vain until {what}")
        time.sleep(0.05)
    return value


class Running:
    """One `tulle` process and what it says."""

    def __init__(self, name: str, command: list[str], log: Path, env: dict[str, str]) -> None:
        self.name, self.log = name, log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, start_new_session=True
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float = DEADLINE) -> int:
        """As Ctrl-C or a service manager would: SIGTERM, and its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.wait(seconds)

    def wait(self, seconds: float = DEADLINE) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"{self.name} did not end within {seconds:.0f} s:\n{self.output}") from None


class Mesh:
    """A mesh with a state folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "state"
        self.env = {
            k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and not k.startswith("TULLE_")
        }
        self.env |= {"PYTHONUNBUFFERED": "1", "TULLE_DATA": str(self.data)}
        self.running: list[Running] = []
        self.prefix: tuple[str, ...] = ()
        self._at_end: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @contextmanager
    def behind(self, *prefix: str) -> Iterator[None]:
        """What is started within is started by this command, as by `nice`."""
        before, self.prefix = self.prefix, (*self.prefix, *prefix)
        try:
            yield
        finally:
            self.prefix = before

    def start(self, name: str, *words: str, **env: str) -> Running:
        command = [*self.prefix, *TULLE, *words]
        running = Running(name, command, self.folder / f"{name}-{len(self.running)}.log", {**self.env, **env})
        self.running.append(running)
        return running

    def up(self, *options: str, wait: bool = True) -> Running:
        control_plane = self.start("up", "up", *options)
        if wait:
            self.wait_up(control_plane)
        return control_plane

    def wait_up(self, control_plane: Running) -> None:
        def answers() -> bool:
            assert control_plane.process.poll() is None, control_plane.output
            status = self._ask("status")
            return status is not None and status["pid"] == control_plane.pid

        wait_for("the control plane answers", answers)

    def run(self, service: str, *command: str, options: tuple[str, ...] = (), **env: str) -> Running:
        """`tulle run`; a command that ends in .py is one of the test programs."""
        program = (
            [sys.executable, str(PROGRAMS / command[0]), *command[1:]] if command[0].endswith(".py") else list(command)
        )
        return self.start(service, "run", service, *options, "--", *program, **env)

    def serve(self, service: str, *arguments: str, options: tuple[str, ...] = (), **env: str) -> Running:
        """An instance of the test server, once it is in rotation."""
        before = self.healthy(service)
        running = self.run(service, "server.py", *arguments, options=options, **env)
        wait_for(
            f"{service} has one more healthy instance", lambda: self._alive(running) and self.healthy(service) > before
        )
        return running

    def caller(self, service: str = "service-a", options: tuple[str, ...] = ()) -> Caller:
        """A sidecar of a program that only calls, and the means to call through it as that program."""
        known = {p["id"] for p in self.proxies()}
        running = self.run(service, "sleeper.py", options=("--capture", "proxy", *options))

        def found() -> dict[str, Any] | None:
            self._alive(running)
            new = [p for p in self.proxies() if p["service"] == service and p["id"] not in known and p["in_sync"]]
            return new[0] if new and new[0]["health"] == "running" else None

        proxy = wait_for(f"the program of {service} runs beside its sidecar", found)
        return Caller(proxy["id"], proxy["outbound_port"], running)

    def _alive(self, running: Running) -> bool:
        assert running.process.poll() is None, running.output
        return True

    def tulle(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self.prefix, *TULLE, *words], env=self.env, capture_output=True, text=True, timeout=60)

    def json(self, *words: str) -> Any:
        """What a command says in JSON; None if it fails."""
        done = self.tulle(*words, "-o", "json")
        return json.loads(done.stdout) if done.returncode == 0 else None

    def _ask(self, what: str) -> Any:
        """The same as the command of that name says. Tests wait for it again and again, and to start Python takes long."""
        try:
            return ControlPlane(self.data).get(f"/v1/{what}", Any)
        except (Failed, Unreachable):
            return None

    def proxies(self) -> list[dict[str, Any]]:
        return self._ask("proxies") or []

    def service(self, name: str) -> dict[str, Any] | None:
        return next((s for s in self._ask("services") or [] if s["name"] == name), None)

    def healthy(self, name: str) -> int:
        service = self.service(name)
        return int(service["healthy"]) if service else 0

    def at_end(self, clear: Callable[[], None]) -> None:
        """To be called when all has ended."""
        self._at_end.append(clear)

    def close(self) -> None:
        for running in reversed(self.running):
            if running.process.poll() is None:
                running.process.send_signal(signal.SIGCONT)
                running.process.terminate()
        for running in reversed(self.running):
            try:
                running.process.wait(15)
            except subprocess.TimeoutExpired:
                running.kill()
        for clear in reversed(self._at_end):
            clear()


class Answer:
    """An answer, or the failure to get one (status 0)."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str], seconds: float) -> None:
        self.status, self.body, self.headers, self.seconds = status, body, headers, seconds

    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """Calls as one workload: through its sidecar, as a client with `http_proxy` set does."""

    def __init__(self, proxy: str, port: int, running: Running) -> None:
        self.proxy, self.port, self.running = proxy, port, running

    def call(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        connection: http.client.HTTPConnection | None = None,
        timeout: float = 60,
    ) -> Answer:
        used = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        started = time.perf_counter()
        try:
            used.request(method, url, body, headers or {})
            answer = used.getresponse()
            content = answer.read()
            return Answer(
                answer.status, content, {k.lower(): v for k, v in answer.getheaders()}, time.perf_counter() - started
            )
        finally:
            if connection is None:
                used.close()

    def load(self, url: str, threads: int = 4, method: str = "GET") -> Load:
        return Load(self, url, threads, method)


class Load:
    """Calls without pause from several threads until it is stopped."""

    def __init__(self, caller: Caller, url: str, threads: int, method: str) -> None:
        self.by_instance: Counter[str] = Counter()
        self.failed: list[str] = []
        self._caller, self._url, self._method = caller, url, method
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    @property
    def calls(self) -> int:
        return sum(self.by_instance.values()) + len(self.failed)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        wait_for("the load runs", lambda: self.calls > 20)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def more(self, calls: int) -> None:
        """Return after so many more calls."""
        until = self.calls + calls
        wait_for(f"{calls} more calls", lambda: self.calls >= until, 120)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                answer = self._caller.call(self._url, self._method)
            except OSError as error:
                self.failed.append(repr(error))
            except http.client.HTTPException as error:
                self.failed.append(repr(error))
            else:
                if answer.status == 200:
                    self.by_instance[answer.json()["instance"]] += 1
                else:
                    self.failed.append(f"{answer.status} {answer.body[:300]!r}")


def children(pid: int) -> list[int]:
    """The process ids below `pid`, all generations."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended meanwhile
            for child in task.read_text().split():
                found += [int(child), *children(int(child))]
    return found


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def envoys_of(running: Running) -> list[int]:
    """Two of them while one takes over from the other."""
    return [pid for pid in children(running.pid) if "--restart-epoch" in command_line(pid)]


def envoy_of(running: Running) -> int:
    return next(p for p in children(running.pid) if "bootstrap.json" in command_line(p))


def kill_program(running: Running) -> None:
    """SIGKILL, and back when the kernel has closed all that the program had open: while it dies it may still accept."""
    pid = program_of(running)
    os.kill(pid, signal.SIGKILL)
    wait_for("the program is dead", lambda: not Path(f"/proc/{pid}").exists())


def program_of(running: Running, words: str = "server.py") -> int:
    return next(p for p in children(running.pid) if words in command_line(p) and "reaper" not in command_line(p))
