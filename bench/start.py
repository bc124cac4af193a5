"""How long starting takes, and what an agent weighs: `tulle up` to ready, `tulle run` to program started, agent RSS."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from bench.figure import Figure
from bench.meshes import Mesh
from bench.processes import children, command_line, memory, wait_for

# A program that says, in nanoseconds of Unix time, when it was started. As small as can be, so that its own start counts little.
_PROGRAM = ("sh", "-c", 'date +%s%N > "$0.new"; mv "$0.new" "$0"; exec sleep infinity')


def run(quick: bool) -> list[Figure]:
    times, settle = (2, 2.0) if quick else (12, 10.0)
    with tempfile.TemporaryDirectory(prefix="tulle-bench-") as folder:
        figures = [*_control_plane(Path(folder), times), *_program(Path(folder), times)]
        return [*figures, *_agent(Path(folder), settle)]


def _control_plane(folder: Path, times: int) -> Iterator[Figure]:
    """With a state folder that is not there yet, and with the one that this has made, in turn."""
    fresh: list[float] = []
    existing: list[float] = []
    with ExitStack() as stack:
        mesh = Mesh(folder, stack)
        for _ in range(times):
            shutil.rmtree(mesh.data, ignore_errors=True)
            for values in (fresh, existing):
                values.append(_seconds_up(mesh))
                mesh.stop()
    for name, state, values in (("up", "fresh state", fresh), ("up_again", "existing state", existing)):
        yield Figure(name, f"`tulle up` to ready, {state}", median(values), "s", reach=1.5, note=_spread(values))


def _seconds_up(mesh: Mesh) -> float:
    started = time.perf_counter()
    mesh.up()
    return time.perf_counter() - started


def _program(folder: Path, times: int) -> Iterator[Figure]:
    """From the start of `tulle run` to the start of the program, with a control plane that is there."""
    values = []
    with ExitStack() as stack:
        mesh = Mesh(folder, stack)
        mesh.up()
        for number in range(times):
            with ExitStack() as one:
                values.append(seconds_to_program(Mesh(folder, one), folder / f"started-{number}"))
    yield Figure("run", "`tulle run` to program started", median(values), "s", reach=1, note=_spread(values))


def seconds_to_program(mesh: Mesh, says: Path, options: tuple[str, ...] = ()) -> float:
    """From `tulle run` until a program has said so in the file `says`; it runs on."""
    started = time.time_ns()
    mesh.start("run", "service-a", *options, "--", *_PROGRAM, str(says))
    wait_for("the program is started", says.exists)
    return (int(says.read_text()) - started) / 1e9


def _agent(folder: Path, settle: float) -> Iterator[Figure]:
    """The agent and all that it has started, but its Envoy and the program."""
    with ExitStack() as stack:
        mesh = Mesh(folder, stack)
        mesh.up()
        sidecar = mesh.run("service-a", "sleep", "infinity")
        time.sleep(settle)
        helpers = [pid for pid in children(sidecar.agent) if pid != sidecar.envoy]
        sizes = {_name(pid): memory(pid).rss for pid in (sidecar.agent, *helpers)}
    parts = ", ".join(f"{name} {size:.1f}" for name, size in sizes.items())
    note = f"{parts}; {settle:.0f} s after its start"
    yield Figure("agent_rss", "agent RSS, all its helpers counted", sum(sizes.values()), "MB", reach=40, note=note)


def _name(pid: int) -> str:
    words = command_line(pid)
    return "agent" if "tulle.agent" in words else next((Path(w).stem for w in words if w.endswith(".py")), words[0])


def _spread(values: list[float]) -> str:
    slowest, load = max(values), os.getloadavg()[0]
    return f"{min(values):.2f} to {slowest:.2f}, {len(values)} times; load average {load:.1f}"
