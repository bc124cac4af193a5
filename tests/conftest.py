"""Options and fixtures for all tests."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How fast the machine is says nothing of what is tested.
settings.register_profile("tulle", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tulle")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write tests/golden anew, and remove what no case needs"
    )
    parser.addoption(
        "--update-capture-table",
        action="store_true",
        help="write into docs/reference/capture.md what tests/capture have found",
    )
    parser.addoption(
        "--update-resources-table",
        action="store_true",
        help="write docs/reference/resources.md from what `tulle explain` says",
    )


@pytest.fixture
def on_small_disk(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a Python program for which `tmp_path` is a file system of a size such as `20m`, the program's alone.

    Skips the test if this user can't mount one.
    """
    private_mounts = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]

    def run(size: str, program: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        mount = shlex.join(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tulle-test", str(tmp_path)])
        if (
            not shutil.which("unshare")
            or subprocess.run([*private_mounts, "sh", "-c", mount], capture_output=True).returncode
        ):
            pytest.skip("this user can't mount a small disk")
        words = shlex.join([sys.executable, str(program), *map(str, arguments)])
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [*private_mounts, "sh", "-c", f"{mount} && exec {words}"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)

    return run
