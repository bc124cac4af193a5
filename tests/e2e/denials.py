"""Commands before a command, that take something of the machine away from it: what a container or a policy denies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_FORBID = str(Path(__file__).parent / "programs" / "forbid.py")
_UNMOUNT = """
for place in $(awk '$0 ~ / - cgroup2 / {print $5}' /proc/self/mountinfo | sort -r); do umount -l "$place"; done
exec "$@"
"""
_BIND = 'set -e; mount --bind $FLAGS "$1" "$2"; shift 2; exec "$@"'

AN_ORDINARY_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
WITHOUT_CAPABILITIES = ("setpriv", "--bounding-set", "-all", "--inh-caps", "-all")
WITHOUT_NEW_PRIVILEGES = ("setpriv", "--no-new-privs")
WITHOUT_CGROUP_V2 = ("unshare", "-m", "sh", "-c", _UNMOUNT, "sh")
WITHOUT_SECCOMP = (sys.executable, _FORBID, "seccomp", "--")
WITHOUT_NAMESPACES = (sys.executable, _FORBID, "unshare", "--")
WITHOUT_USER_NAMESPACES = (
    *("unshare", "--user", "--map-root-user", "sh", "-c"),
    'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"',
    "sh",
)


def with_file(there: Path, content: Path) -> tuple[str, ...]:
    """Another file in the place of one of the machine's, for this command only."""
    return ("unshare", "-m", "sh", "-c", _BIND.replace("$FLAGS", ""), "sh", str(content), str(there))


def with_read_only(folder: Path) -> tuple[str, ...]:
    script = 'set -e; mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; shift; exec "$@"'
    return ("unshare", "-m", "sh", "-c", script, "sh", str(folder))


def needs_root(*prefix: str) -> None:
    """Skips the test where what it takes away can't be taken away."""
    if os.geteuid() != 0:
        pytest.skip("only root can take this away from a program")
    if missing := [tool for tool in ("setpriv", "unshare", "sh", "awk") if not shutil.which(tool)]:
        pytest.skip(f"there is no {' and no '.join(missing)} here")
    done = subprocess.run([*prefix, "true"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"this machine does not let it be taken away: {done.stderr.strip()}")
