"""The main job, live: service-a calls service-b, unmodified, while instances and the control plane die.

Then, if there is time, a new version gets a tenth of the calls, and a policy keeps a stranger out.

Runs until Ctrl-C, or with DEMO_SECONDS=N for at most N seconds. Its last line is one JSON object with what it measured; it
exits 0 only if no call failed. Everything runs as `tulle` commands would be typed, in a state folder of its own.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
TULLE = Path(sys.executable).parent / "tulle"
BOLD, DIM, RED, RESET = ("\033[1m", "\033[2m", "\033[31m", "\033[0m") if sys.stdout.isatty() else ("", "", "", "")
ASK = """
from urllib.request import Request, urlopen
print(urlopen(Request("http://service-b/data", headers={"x-tulle-explain": "1"})).headers["x-tulle-peer"])
"""
TRY = """
from urllib.error import HTTPError
from urllib.request import urlopen
try:
    print(urlopen("http://service-b/data").status)
except HTTPError as refused:
    print(refused.code, refused.read().decode())
"""
ASKING_SECONDS = 2.0
SHIFT_SECONDS, POLICY_SECONDS = 2.0, 2.0  # what these may take: with less time left they are not shown
STOPPING_SECONDS = 4.0  # what the end may take: instances drain, the control plane closes its store


class Caller:
    """service-a's own words, read line by line as it prints them."""

    def __init__(self) -> None:
        self.ended = False
        self.by_instance: Counter[str] = Counter()
        self.errors: list[str] = []
        self.milliseconds: list[float] = []
        self.recent: deque[tuple[float, str]] = deque(maxlen=2000)

    def read(self, lines: Iterable[str]) -> None:
        for line in lines:
            if self.ended:
                return
            if match := re.match(r"Received data from service-b: (.*)", line):
                instance = ast.literal_eval(match[1])["instance"]
                self.by_instance[instance] += 1
                self.recent.append((time.monotonic(), instance))
            elif match := re.match(r"Took ([0-9.]+) ms", line):
                self.milliseconds.append(float(match[1]))
            else:
                self.errors.append(line.strip())
                say(f"{RED}{line.strip()}{RESET}")

    def measured(self, identity: str | None) -> dict[str, object]:
        ok, failed, times = sum(self.by_instance.values()), len(self.errors), sorted(self.milliseconds)
        return {
            "calls": ok + failed,
            "ok": ok,
            "failed": failed,
            "by_instance": dict(sorted(self.by_instance.items())),
            "peer_identity": identity,
            "p50_ms": times[len(times) // 2] if times else None,
            "p99_ms": times[len(times) * 99 // 100] if times else None,
        }

    def last_second(self) -> Counter[str]:
        since = time.monotonic() - 1
        return Counter(instance for at, instance in list(self.recent) if at > since)


class Demo:
    """The processes of the demo, and the one thing after another that happens to them."""

    def __init__(self, folder: Path, seconds: float | None) -> None:
        self.data, self.caller = folder / "state", Caller()
        self.deadline = None if seconds is None else time.monotonic() + seconds - STOPPING_SECONDS
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.log_file = folder / "demo.log"  # beside the state folder, in which nothing is for others to read
        self.log = self.log_file.open("a")

    def run(self) -> dict[str, object]:
        """Everything, from start to end; what was measured."""
        identity = None
        try:
            self._play()
            identity = self._peer_identity()
        except KeyboardInterrupt:
            say("stopping")
            identity = self._peer_identity()
        finally:
            self._stop()
        return self.caller.measured(identity)

    def _play(self) -> None:
        say(f"{BOLD}tulle up{RESET}  {DIM}(state in {self.data}){RESET}")
        self._up()
        tulle = shlex.join([f"TULLE_DATA={self.data}", str(Path(sys.executable).with_name("tulle"))])
        say(f"{DIM}look inside meanwhile, in another terminal: {tulle} ui (or stat, edges, tap){RESET}")
        self._instance("b1", "v1")
        self._instance("b2", "v1")
        self._wait("two instances of service-b are healthy", lambda: self._said("is healthy") == 2)
        say(
            f"{BOLD}tulle run service-a -- python service_a.py{RESET}  "
            f"{DIM}(requests.get('http://service-b/data') in a loop){RESET}"
        )
        command = [str(TULLE), "run", "service-a", "--data", str(self.data), "--", sys.executable, "service_a.py"]
        process = self._start("service-a", command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        threading.Thread(target=self.caller.read, args=(process.stdout,), daemon=True).start()
        self._wait("service-a is answered", lambda: bool(self.caller.by_instance))
        whole = 24.0 if self.deadline is None else max(4.0, self.deadline - time.monotonic())
        self._watch(whole * 0.2)
        self._kill_program("b1")
        self._watch(whole * 0.2)
        say(f"{BOLD}tulle run service-b --version v2 -- python service_b.py b3{RESET}  {DIM}(a third instance){RESET}")
        self._instance("b3", "v2")
        self._watch(whole * 0.25)
        self._restart_control_plane()
        if self._has(SHIFT_SECONDS + POLICY_SECONDS):
            self._wait("the third instance answers", lambda: self.caller.by_instance["b3"] > 0)
            self._tell("shift", "service-b", "v1=90", "v2=10", "--wait")
            self._watch(SHIFT_SECONDS - 0.5)
        if self._has(POLICY_SECONDS):
            self._tell("apply", "-f", "only-service-a.yaml", "--wait")
            say(f"a stranger calls service-b, and is told: {BOLD}{self._run('stranger', TRY)}{RESET}")
        self._watch(whole * 0.35 - ASKING_SECONDS if self.deadline else float("inf"))

    def _up(self) -> None:
        before = self._said("ready:")
        self._start("control plane", [str(TULLE), "up", "--data", str(self.data)])
        self._wait("the control plane is ready", lambda: self._said("ready:") > before)

    def _instance(self, name: str, version: str) -> None:
        said = ["--version", version, "--data", str(self.data)]
        self._start(name, [str(TULLE), "run", "service-b", *said, "--", sys.executable, "service_b.py", name])

    def _has(self, seconds: float) -> bool:
        """Whether so much time is left, and some to ask in."""
        return self.deadline is None or self.deadline - time.monotonic() > seconds + ASKING_SECONDS

    def _tell(self, *words: str) -> None:
        say(f"{BOLD}tulle {' '.join(words)}{RESET}")
        command = [str(TULLE), *words, "--data", str(self.data)]
        if subprocess.run(command, stdout=self.log, stderr=self.log, cwd=HERE, timeout=60, check=False).returncode:
            raise SystemExit(f"demo: that failed\n{self._last_words()}")

    def _kill_program(self, name: str) -> None:
        pid = program_of(self.processes[name].pid, f"service_b.py {name}")
        say(f"{BOLD}kill -9 {pid}{RESET}  {DIM}(the program of instance {name}){RESET}")
        os.kill(pid, signal.SIGKILL)

    def _restart_control_plane(self) -> None:
        process = self.processes["control plane"]
        say(f"{BOLD}kill -9 {process.pid}{RESET}  {DIM}(the control plane; it comes back in a second){RESET}")
        process.kill()
        process.wait()
        self._watch(1)
        self._up()
        say("the control plane is back")

    def _watch(self, seconds: float) -> None:
        """Show, second by second, who answers."""
        until = time.monotonic() + seconds
        if self.deadline is not None:
            until = min(until, self.deadline)
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(1.0, left))
            counts = self.caller.last_second()
            shares = "  ".join(f"{name} {counts[name]:4d}/s {'▇' * (counts[name] // 8):<22}" for name in sorted(counts))
            say(f"{shares or 'no answers'}  {DIM}failed so far: {len(self.caller.errors)}{RESET}")

    def _wait(self, what: str, true: Callable[[], bool], seconds: float = 20) -> None:
        until = time.monotonic() + seconds
        while not true():
            if time.monotonic() > until:
                raise SystemExit(f"demo: waited {seconds:.0f} s in vain until {what}\n{self._last_words()}")
            time.sleep(0.05)

    def _said(self, words: str) -> int:
        """How often the processes have said this."""
        return self.log_file.read_text(errors="replace").count(words)

    def _last_words(self) -> str:
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-5:])

    def _peer_identity(self) -> str | None:
        """Have one more program of the mesh ask, with the header that makes its sidecar say who proved to have answered.

        It is service-a to the policy, which goes by service accounts.
        """
        return self._run("asker", ASK, "--service-account", "service-a") or None

    def _run(self, name: str, program: str, *options: str) -> str:
        """What a short program of the mesh prints."""
        command = [str(TULLE), "run", name, *options, "--data", str(self.data), "--", sys.executable, "-c", program]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=self.log, text=True, timeout=30, check=False)
        return done.stdout.strip()

    def _start(self, name: str, command: list[str], stdout: int | None = None) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            command,
            stdout=self.log if stdout is None else stdout,
            stderr=self.log,
            text=True,
            cwd=HERE,
            env=environment,
            start_new_session=True,
        )
        self.processes[name] = process
        return process

    def _stop(self) -> None:
        """The caller first, so that the others are still there for its last call; then the instances, all at once."""
        self.caller.ended = True
        until = time.monotonic() + STOPPING_SECONDS - 1
        rank = {"service-a": 0, "control plane": 2}
        for wanted in range(3):
            group = [process for name, process in self.processes.items() if rank.get(name, 1) == wanted]
            for process in group:
                process.terminate()
            for process in group:
                try:
                    process.wait(max(0.1, until - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()
        self.log.close()


def program_of(agent: int, words: str) -> int:
    """The pid of the program, which is the only descendant of `agent` whose command line ends in `words`."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != agent:
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            except OSError:
                continue
            if command.endswith(words) and " -- " not in command and is_below(int(folder.name), agent):
                return int(folder.name)
    raise SystemExit(f"demo: no process {words!r} below {agent}")


def is_below(pid: int, ancestor: int) -> bool:
    while pid > 1 and pid != ancestor:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid == ancestor


def say(text: str) -> None:
    print(f"{DIM}{time.strftime('%H:%M:%S')}{RESET} {text}", flush=True)


def main() -> int:
    seconds = float(os.environ["DEMO_SECONDS"]) if "DEMO_SECONDS" in os.environ else None
    if seconds is not None and seconds < 15:
        raise SystemExit("demo: DEMO_SECONDS must be at least 15, so that everything can be shown")
    with tempfile.TemporaryDirectory(prefix="tulle-demo-") as folder:
        measured = Demo(Path(folder), seconds).run()
    print(json.dumps(measured))
    return 0 if measured["calls"] and not measured["failed"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
