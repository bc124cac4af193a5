"""Nothing in the state folder may be open to others when the control plane starts, whatever made it so."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tulle.config import Settings
from tulle.control_plane.running import running
from tulle.identity.private import StateUnusable, check_private


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder as a control plane leaves it that was started with no umask at all."""
    before = os.umask(0)
    try:
        folder = tmp_path_factory.mktemp("state") / "state"
        asyncio.run(_once(folder))
    finally:
        os.umask(before)
    (folder / "proxies" / "web-3fa2c1" / "sds").mkdir(mode=0o700, parents=True)
    for made in (folder / "proxies", folder / "proxies" / "web-3fa2c1"):
        made.chmod(0o700)
    (folder / "proxies" / "web-3fa2c1" / "sds" / "identity.json").touch(0o600)
    yield folder


async def _once(folder: Path) -> None:
    async with running(Settings(folder)):
        pass


def _paths(folder: Path) -> list[Path]:
    return [folder, *folder.rglob("*")]


def test_what_is_made_is_private_whatever_the_umask(state: Path) -> None:
    names = {path.name for path in _paths(state)}
    assert {"store.db", "secret", "authority.json", "xds-port"} <= names
    check_private(state)


def test_each_file_and_folder_is_refused_when_others_may_open_it(state: Path) -> None:
    for path in _paths(state):
        mode = path.stat().st_mode & 0o777
        for more in (0o040, 0o020, 0o004, 0o010):
            path.chmod(mode | more)
            with pytest.raises(StateUnusable, match=re.escape(f"chmod {mode:o} {path}")):
                asyncio.run(_once(state))
        path.chmod(mode)
    asyncio.run(_once(state))


def test_the_fix_that_is_told_is_one(state: Path) -> None:
    for path in _paths(state):
        path.chmod(0o755 if path.is_dir() else 0o644)
    with pytest.raises(StateUnusable, match=r"and \d+ more can be read or changed by others") as refused:
        check_private(state)
    subprocess.run(str(refused.value).partition("run: ")[2], shell=True, check=True)
    check_private(state)


def test_a_link_is_neither_followed_nor_judged(state: Path, tmp_path: Path) -> None:
    (state / "link").symlink_to("/etc")
    try:
        check_private(state)
        (tmp_path / "data").symlink_to(state)
        check_private(tmp_path / "data")
        state.chmod(0o755)
        with pytest.raises(StateUnusable, match="chmod 700"):
            check_private(tmp_path / "data")
    finally:
        state.chmod(0o700)
        (state / "link").unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_belongs_to_somebody_else_is_refused(state: Path) -> None:
    os.chown(state / "secret", 65534, -1)
    try:
        with pytest.raises(StateUnusable, match=r"secret belongs to another user \(uid 65534\)"):
            check_private(state)
    finally:
        os.chown(state / "secret", 0, -1)


def test_what_is_not_there_yet_is_not_open(tmp_path: Path) -> None:
    check_private(tmp_path / "none")
