"""The root and the secret in the data folder: made once, kept private, checked at every start."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tulle.identity.attestation import Attestation
from tulle.identity.authority import Authority
from tulle.identity.private import StateUnusable
from tulle.identity.secret import open_secret

NOW = 1_800_000_000.0
TEN_YEARS = 3660 * 24 * 3600


def open_authority(folder: Path, now: float = NOW) -> Authority:
    return Authority.open(folder, lambda: now)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_start_makes_a_private_root_and_every_later_one_finds_it(tmp_path: Path) -> None:
    first = open_authority(tmp_path / "ca")

    assert mode(tmp_path / "ca") == 0o700
    assert {path.name: mode(path) for path in (tmp_path / "ca").iterdir()} == {"key.pem": 0o600, "root.pem": 0o600}
    assert [path.name for path in tmp_path.iterdir()] == ["ca"]
    assert open_authority(tmp_path / "ca").bundle_pem == first.bundle_pem


def test_the_remains_of_a_start_that_was_killed_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / ".ca.new").mkdir()
    (tmp_path / ".ca.new" / "key.pem").write_text("half a k")
    (tmp_path / ".secret.new").write_text("12ab")

    open_authority(tmp_path / "ca")
    open_secret(tmp_path / "secret")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca", "secret"]


def test_a_first_start_killed_at_any_moment_leaves_a_root_in_full_or_none(tmp_path: Path) -> None:
    program = (
        "import sys, time, pathlib; from tulle.identity.authority import Authority;"
        "print('go', flush=True); Authority.open(pathlib.Path(sys.argv[1]), time.time)"
    )
    for attempt in range(8):
        folder = tmp_path / str(attempt) / "ca"
        folder.parent.mkdir()
        process = subprocess.Popen([sys.executable, "-c", program, folder], stdout=subprocess.PIPE)
        assert process.stdout and process.stdout.readline() == b"go\n"
        try:
            process.wait(timeout=attempt * 0.001)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        process.stdout.close()
        if folder.exists():
            assert sorted(path.name for path in folder.iterdir()) == ["key.pem", "root.pem"]
        Authority.open(folder, time.time)


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620])
def test_a_key_that_others_can_reach_is_refused_with_the_command_that_helps(tmp_path: Path, bits: int) -> None:
    open_authority(tmp_path / "ca")
    (tmp_path / "ca" / "key.pem").chmod(bits)
    with pytest.raises(StateUnusable, match=f"chmod 600 {tmp_path}/ca/key.pem"):
        open_authority(tmp_path / "ca")


def remove_key(folder: Path) -> None:
    (folder / "key.pem").unlink()


def remove_certificate(folder: Path) -> None:
    (folder / "root.pem").unlink()


def cut_key(folder: Path) -> None:
    os.truncate(folder / "key.pem", 40)


def damage_certificate(folder: Path) -> None:
    (folder / "root.pem").write_bytes(b"\x00garbage\xff")


def swap_key(folder: Path) -> None:
    open_authority(folder.parent / "another")
    shutil.copy(folder.parent / "another" / "key.pem", folder / "key.pem")


def put_a_leaf_in_place_of_the_root(folder: Path) -> None:
    made = open_authority(folder).server_certificate(600)
    (folder / "root.pem").write_text(made.certificate.chain_pem)
    (folder / "key.pem").write_text(made.key_pem)


def empty_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def put_a_file_in_place_of_the_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("")


@pytest.mark.parametrize(
    "damage",
    [
        remove_key,
        remove_certificate,
        cut_key,
        damage_certificate,
        swap_key,
        put_a_leaf_in_place_of_the_root,
        empty_folder,
        put_a_file_in_place_of_the_folder,
    ],
)
def test_a_damaged_authority_is_never_used_or_replaced_silently(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    open_authority(tmp_path / "ca")
    damage(tmp_path / "ca")
    with pytest.raises(StateUnusable, match=r"Restore .*/ca from a backup, or remove it"):
        open_authority(tmp_path / "ca")


@pytest.mark.parametrize("now", [NOW + TEN_YEARS, NOW - 3600])
def test_a_root_out_of_its_time_is_refused_and_the_clock_is_named(tmp_path: Path, now: float) -> None:
    open_authority(tmp_path / "ca")
    with pytest.raises(StateUnusable, match="this machine's clock says"):
        open_authority(tmp_path / "ca", now)


def test_the_secret_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    secret = open_secret(tmp_path / "secret")

    assert len(bytes.fromhex(secret)) == 32
    assert mode(tmp_path / "secret") == 0o600
    assert open_secret(tmp_path / "secret") == secret


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    open_secret(tmp_path / "secret")
    (tmp_path / "secret").chmod(0o644)
    with pytest.raises(StateUnusable, match=f"chmod 600 {tmp_path}/secret"):
        open_secret(tmp_path / "secret")


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff" * 64, b"g" * 64])
def test_a_damaged_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    (tmp_path / "secret").chmod(0o600)
    with pytest.raises(StateUnusable, match="Remove it and a new secret will be made"):
        open_secret(tmp_path / "secret")


def test_only_the_whole_secret_is_accepted() -> None:
    attestation = Attestation("ab" * 32)
    assert attestation.accepts(b"Bearer " + b"ab" * 32)
    for wrong in (b"", b"Bearer ", b"ab" * 32, b"Bearer " + b"ab" * 31, b"Bearer " + b"ab" * 33, b"Bearer \xff"):
        assert not attestation.accepts(wrong)
