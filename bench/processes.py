"""Processes that a benchmark starts, and what the kernel knows of them: CPU time, memory, children."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_DEADLINE = 60.0
_STOP_SECONDS = 15.0


class Failed(Exception):
    """Something that is to be measured does not work."""


@contextmanager
def process(
    command: Sequence[str | Path],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    pipes: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs it within the block, with its output in `log`; then ends it, by SIGTERM if it can be.

    In a session of its own, as an agent starts its Envoy: Linux shares the CPU out among sessions (sched(7), autogroup).
    pipes: its standard input and output are pipes, as `asking.py` needs them.
    """
    with log.open("ab") as out:
        started = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipes else out,
            stderr=out,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
    try:
        yield started
    finally:
        stop(started)
        for pipe in (started.stdin, started.stdout):
            if pipe:
                pipe.close()


def stop(started: subprocess.Popen[bytes]) -> None:
    """Ends a process, and waits until it is gone."""
    started.terminate()
    try:
        started.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        started.kill()
        started.wait()


def wait_for(what: str, true: Callable[[], T | None], seconds: float = _DEADLINE, pause: float = 0.005) -> T:
    """The first true value of `true()`. Raises Failed."""
    until = time.monotonic() + seconds
    while not (value := true()):
        if time.monotonic() > until:
            raise Failed(f"waited {seconds:.0f} s in vain: {what}")
        time.sleep(pause)
    return value


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_seconds(pid: int) -> float:
    """CPU time so far, from the nanosecond counters of its threads (proc(5), schedstat); /proc/PID/stat counts in 10 ms."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):  # the thread has ended
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


@dataclass(frozen=True)
class Memory:
    """In MB of 1,000,000 bytes.

    rss: all pages in memory; pss: the same, a page that several share being divided among them; private: those that it
    has written and shares with nobody.
    """

    rss: float
    pss: float
    private: float


def memory(pid: int) -> Memory:
    """Of one process (proc(5), smaps_rollup)."""
    fields = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, amount = line.partition(":")
        fields[name] = int(amount.split()[0]) * 1024 / 1e6
    return Memory(fields["Rss"], fields["Pss"], fields["Private_Dirty"])


def children(pid: int) -> list[int]:
    """The process ids directly below it."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += map(int, task.read_text().split())
    return found


def command_line(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")


def clean_environment() -> dict[str, str]:
    """This process's environment without what would change a mesh's behaviour."""
    return {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and not k.startswith("TULLE_")}
