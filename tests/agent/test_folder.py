"""The agent's folder: for its eyes only, never half written, never left behind."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from tulle.agent.exits import AgentError
from tulle.agent.folder import agent_folder

MONTH = 30 * 86400


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_is_private_and_gone_after_its_agent(tmp_path: Path) -> None:
    with agent_folder(tmp_path, "service-b-000001") as folder:
        folder.replace("sds/identity.json", "a key")
        assert [mode(tmp_path / "proxies"), mode(folder.path), mode(folder.path / "sds")] == [0o700] * 3
        assert mode(folder.path / "sds" / "identity.json") == 0o600
        assert [file.name for file in (folder.path / "sds").iterdir()] == ["identity.json"]
    assert not folder.path.exists()


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    texts = {letter * 200_000 for letter in "ab"}
    seen, stop = set(), threading.Event()

    def read(file: Path) -> None:
        while not stop.is_set():
            seen.add(file.read_text())

    with agent_folder(tmp_path, "service-b-000001") as folder:
        folder.replace("sds/bundle.json", "a" * 200_000)
        reader = threading.Thread(target=read, args=[folder.path / "sds" / "bundle.json"])
        reader.start()
        for _ in range(200):
            for text in texts:
                folder.replace("sds/bundle.json", text)
        stop.set()
        reader.join()
    assert seen <= texts


def test_what_an_agent_left_when_the_machine_stopped_is_removed_by_the_next(tmp_path: Path) -> None:
    with agent_folder(tmp_path, "alive-000001") as alive:
        left = tmp_path / "proxies" / "left-000002"
        (left / "sds").mkdir(parents=True)
        young = tmp_path / "proxies" / "young-000003"
        young.mkdir()
        for old in (alive.path, left):
            os.utime(old, (old.stat().st_atime, old.stat().st_mtime - MONTH))
        with agent_folder(tmp_path, "new-000004"):
            assert {path.name for path in (tmp_path / "proxies").iterdir()} == {
                "alive-000001",
                "young-000003",
                "new-000004",
            }


def test_an_unwritable_state_folder_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "proxies").write_text("not a folder")
    with pytest.raises(AgentError, match=r"can't write to .*/proxies.*--data"), agent_folder(tmp_path, "a-000001"):
        pass
