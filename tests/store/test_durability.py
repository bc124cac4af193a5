"""What was acknowledged is never lost, and what is alive does not die of our own standing still."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tulle.store.sqlite import open_store

HERE = Path(__file__).parent


@pytest.mark.parametrize("round", range(3))
async def test_kill_9_in_the_middle_of_thousands_of_writes_loses_none_that_was_acknowledged(
    tmp_path: Path, round: int
) -> None:
    acknowledged: dict[str, int] = {}
    for run in range(2):  # the second one goes on with what the first one left
        acknowledged |= written_until_killed(tmp_path, run)
        async with open_store(tmp_path) as store:
            kept = {item.key: item for item in (await store.range("kept/")).items}
            moved = {item.key.rpartition("/")[0]: item for item in (await store.range("moved/")).items}
            revision = (await store.range("")).revision
        for name, n in acknowledged.items():
            last = int(moved[f"moved/{name}"].value)
            assert n <= last <= n + 1, "only what was on its way may be more than what was acknowledged"
            assert [kept[f"kept/{name}/{i}"].value for i in range(1, last + 1)] == [
                b"%d" % i for i in range(1, last + 1)
            ]
            assert f"kept/{name}/{last + 1}" not in kept
        revisions = sorted(item.revision for item in kept.values())
        assert revisions == list(range(2, revision + 1)), "each transaction has its revision, without gaps"


def written_until_killed(folder: Path, run: int) -> dict[str, int]:
    """The last number that was acknowledged to each of the writer's callers."""
    acknowledged: dict[str, int] = {}
    command = [sys.executable, str(HERE / "write_until_killed.py"), str(folder), str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        wanted = random.randrange(500, 6000)
        for line in writer.stdout:
            name, number = line.split()
            acknowledged[name] = int(number)
            wanted -= 1
            if wanted == 0:
                writer.kill()
    assert writer.returncode == -signal.SIGKILL
    return acknowledged


def test_a_process_that_was_stopped_for_longer_than_the_lease_expires_nothing(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, HERE / "beat.py", tmp_path], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            assert [next(lines) for _ in range(3)] == ["alive\n"] * 3
            process.send_signal(signal.SIGSTOP)
            time.sleep(3)
            process.send_signal(signal.SIGCONT)
            assert {next(lines) for _ in range(8)} == {"alive\n"}
        finally:
            process.kill()
