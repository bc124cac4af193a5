"""The state folder and its file, in good order and in bad."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tulle.store.errors import StoreCorrupt, StoreLocked, StoreUnavailable
from tulle.store.sqlite import open_store

HERE = Path(__file__).parent


async def filled(folder: Path) -> Path:
    async with open_store(folder) as store:
        for n in range(100):
            await store.put(f"key/{n}", bytes(1000))
    return folder / "store.db"


@contextmanager
def holder_of(folder: Path) -> Iterator[int]:
    """Another process that holds the folder; it is killed at the end."""
    with subprocess.Popen([sys.executable, HERE / "beat.py", folder], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == "alive\n"
            yield holder.pid
        finally:
            holder.kill()


async def test_folder_and_files_are_for_their_user_only(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "state"
    before = os.umask(0)
    try:
        async with open_store(folder) as store:
            await store.put("a", b"")
            modes = {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}
    finally:
        os.umask(before)
    assert modes == {"state": 0o700, "lock": 0o600, "store.db": 0o600, "store.db-wal": 0o600}


async def test_a_second_process_is_refused_and_told_who_holds_the_folder(tmp_path: Path) -> None:
    with holder_of(tmp_path) as pid, pytest.raises(StoreLocked) as refusal:
        async with open_store(tmp_path):
            pass
    assert str(tmp_path) in str(refusal.value) and f"process {pid}:" in str(refusal.value)
    async with open_store(tmp_path) as store:
        assert await store.get("a") is not None


async def test_twice_in_one_process_is_refused_too(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        with pytest.raises(StoreLocked, match=f"process {os.getpid()}:"):
            async with open_store(tmp_path):
                pass
        await store.put("a", b"")


async def test_the_sqlite_shell_can_not_get_between(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.put("a", b"")
        shell = sqlite3.connect(tmp_path / "store.db", timeout=0)
        with closing(shell), pytest.raises(sqlite3.OperationalError, match="locked"):
            shell.execute("delete from items")
        await store.put("b", b"")
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
        other.execute("begin exclusive")
        with pytest.raises(StoreUnavailable, match="open in another program"):
            async with open_store(tmp_path):
                pass


def garbage(file: Path) -> None:
    file.write_bytes(b"garbage" * 5000)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def one_page(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:4096])


def half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def hole(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4096 : 4096 * 20] = bytes(4096 * 19)
    file.write_bytes(content)


def foreign(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as other:
        other.execute("create table users(name)")


def newer(file: Path) -> None:
    with closing(sqlite3.connect(file)) as other:
        other.execute("pragma user_version = 1000")


def gone_but_its_log(file: Path) -> None:
    file.rename(file.with_name("store.db-wal"))


def no_state(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("delete from state")


@pytest.mark.parametrize(
    "damage",
    [garbage, empty, one_page, half, hole, foreign, newer, gone_but_its_log, no_state],
    ids=lambda f: f.__name__,
)
async def test_a_damaged_file_is_named_and_left_as_it_is(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    file = await filled(tmp_path)
    damage(file)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("store.db*")}
    for _ in range(2):
        with pytest.raises(StoreCorrupt) as refusal:
            async with open_store(tmp_path):
                pass
        assert str(file) in str(refusal.value)
        assert "move" in str(refusal.value) or "use the newer tulle" in str(refusal.value)
        assert {path.name: path.read_bytes() for path in tmp_path.glob("store.db*")} == before


async def test_after_moving_a_damaged_file_away_a_new_one_is_made(tmp_path: Path) -> None:
    garbage(await filled(tmp_path))
    (tmp_path / "store.db").rename(tmp_path / "damaged.db")
    async with open_store(tmp_path) as store:
        assert (await store.range("")).items == ()


async def test_a_start_that_was_cut_short_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "store.db.new").write_bytes(b"half a file")
    (tmp_path / "store.db.new-journal").write_bytes(b"half a journal")
    async with open_store(tmp_path) as store:
        await store.put("a", b"")
    assert not list(tmp_path.glob("store.db.new*"))


async def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "state", Path("/proc/tulle")):
        with pytest.raises(StoreUnavailable) as refusal:
            async with open_store(folder):
                pass
        assert str(folder) in str(refusal.value) and "--data" in str(refusal.value)


@pytest.fixture
def ordinary_user(tmp_path: Path) -> Iterator[Path]:
    """A folder of a user whom permissions bind: root, who is not bound, becomes nobody for a while."""
    if os.geteuid() != 0:
        yield tmp_path
        return
    folder = Path("/tmp") / f"tulle-test-{os.getpid()}"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    os.seteuid(65534)
    try:
        yield folder
    finally:
        os.seteuid(0)
        shutil.rmtree(folder)


async def test_a_folder_or_file_that_may_not_be_written_is_named(ordinary_user: Path) -> None:
    folder = ordinary_user / "state"
    file = await filled(folder)
    for what, mode, back in ((folder, 0o500, 0o700), (file, 0o400, 0o600), (file, 0o000, 0o600)):
        what.chmod(mode)
        if what is folder:
            (folder / "lock").chmod(0o400)
        with pytest.raises(StoreUnavailable) as refusal:
            async with open_store(folder):
                pass
        assert str(what) in str(refusal.value)
        what.chmod(back)
        (folder / "lock").chmod(0o600)
    async with open_store(folder) as store:
        assert len((await store.range("")).items) == 100


def test_a_file_size_limit_is_survived(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, HERE / "fill_the_disk.py", tmp_path / "state", "limit"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr


def test_a_full_disk_is_survived(
    tmp_path: Path, on_small_disk: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    run = on_small_disk("1m", HERE / "fill_the_disk.py", tmp_path / "state")
    assert run.returncode == 0, run.stderr
