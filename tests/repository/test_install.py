"""What `scripts/install` says when it cannot go on, and that a wheel of the project is whole.

That it installs is seen by whoever runs the tests: `scripts/test` calls it first.
"""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_something_that_is_no_new_enough_python_is_refused_by_name(tmp_path: Path) -> None:
    done = install(tmp_path, PYTHON="/bin/true")
    assert done.returncode == 1
    assert "PYTHON=/bin/true is not a CPython of version 3.11 or newer" in done.stderr


def test_an_old_glibc_is_told_which_one_envoy_needs(tmp_path: Path) -> None:
    python_of_debian_10 = tmp_path / "python"
    python_of_debian_10.write_text('#!/bin/sh\ncase "$*" in *confstr*) echo glibc 2.28;; *) echo True;; esac\n')
    python_of_debian_10.chmod(0o755)
    done = install(tmp_path, PYTHON=str(python_of_debian_10))
    assert done.returncode == 1
    assert "needs glibc 2.31 or newer" in done.stderr
    assert "this machine has glibc 2.28" in done.stderr


def test_an_unknown_argument_gets_the_usage(tmp_path: Path) -> None:
    done = install(tmp_path, "--develop")
    assert done.returncode == 1
    assert "unknown argument '--develop'; usage: scripts/install [--dev] [--quiet]" in done.stderr


def test_the_wheel_holds_the_package_its_command_and_its_licence(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True)
    [built] = tmp_path.glob("tulle-*.whl")
    with zipfile.ZipFile(built) as wheel:
        info = f"{built.name.removesuffix('-py3-none-any.whl')}.dist-info"
        assert {"tulle/__init__.py", "tulle/py.typed", f"{info}/licenses/LICENSE"} <= set(wheel.namelist())
        assert "tulle = tulle.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()
        assert {name.split("/")[0] for name in wheel.namelist()} == {"tulle", info}
    command = [sys.executable, "-c", "from tulle.cli import main; main()", "--help"]
    helped = subprocess.run(command, env={"PYTHONPATH": str(built)}, cwd=tmp_path, capture_output=True, text=True)
    assert helped.stdout.startswith("Usage:"), helped.stderr


def install(checkout: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs scripts/install in a checkout that holds nothing else."""
    (checkout / "scripts").mkdir()
    script = checkout / "scripts" / "install"
    script.write_text((ROOT / "scripts" / "install").read_text())
    return subprocess.run(
        ["bash", script, *arguments],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
    )
