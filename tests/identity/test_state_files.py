"""The authority and the secret in the data folder: made once, kept private, checked at every start."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tulle.identity.attestation import Attestation
from tulle.identity.authority import Authority
from tulle.identity.ca import key_pem, pem_of
from tulle.identity.private import StateUnusable
from tulle.identity.secret import open_secret
from tulle.identity.svid import key_usage

NOW = 1_800_000_000.0
TEN_YEARS = 3660 * 24 * 3600


def open_authority(folder: Path, now: float = NOW) -> Authority:
    return Authority.open(folder, lambda: now)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_start_makes_a_private_root_and_every_later_one_finds_it(tmp_path: Path) -> None:
    first = open_authority(tmp_path / "ca")

    assert mode(tmp_path / "ca") == 0o700
    names = {"authority.json", *(f"{ca.id}.pem" for ca in (*first.known.anchors, *first.known.issuers))}
    assert {path.name: mode(path) for path in (tmp_path / "ca").iterdir()} == dict.fromkeys(names, 0o600)
    assert len(names) == 3
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
            assert "authority.json" in {path.name for path in folder.iterdir()}
        Authority.open(folder, time.time)


def file_of(folder: Path, which: str = "anchors") -> Path:
    return folder / f"{json.loads((folder / 'authority.json').read_text())[which][0]}.pem"


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620])
@pytest.mark.parametrize("which", ["anchors", "issuers"])
def test_a_key_that_others_can_reach_is_refused_with_the_command_that_helps(
    tmp_path: Path, which: str, bits: int
) -> None:
    open_authority(tmp_path / "ca")
    file = file_of(tmp_path / "ca", which)
    file.chmod(bits)
    with pytest.raises(StateUnusable, match=f"chmod 600 {file}"):
        open_authority(tmp_path / "ca")


def remove_root(folder: Path) -> None:
    file_of(folder).unlink()


def remove_intermediate(folder: Path) -> None:
    file_of(folder, "issuers").unlink()


def remove_manifest(folder: Path) -> None:
    (folder / "authority.json").unlink()


def damage_manifest(folder: Path) -> None:
    (folder / "authority.json").write_text("{}")


def name_nothing(folder: Path) -> None:
    (folder / "authority.json").write_text('{"anchors": [], "issuers": [], "active": ""}')


def cut_key(folder: Path) -> None:
    os.truncate(file_of(folder), 40)


def damage_certificate(folder: Path) -> None:
    with file_of(folder).open("r+b") as file:
        file.seek(-200, os.SEEK_END)
        file.write(b"\x00garbage\xff")


def swap_key(folder: Path) -> None:
    other = folder.parent / "another"
    open_authority(other)
    key = file_of(other).read_text().partition("-----BEGIN CERT")[0]
    file_of(folder).write_text(key + "-----BEGIN CERT" + file_of(folder).read_text().partition("-----BEGIN CERT")[2])


def put_a_leaf_in_place_of_the_root(folder: Path) -> None:
    made = open_authority(folder).server_certificate(600)
    file_of(folder).write_text(made.key_pem + made.certificate.chain_pem)


def empty_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def put_a_file_in_place_of_the_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("")


@pytest.mark.parametrize(
    "damage",
    [
        remove_root,
        remove_intermediate,
        remove_manifest,
        damage_manifest,
        name_nothing,
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


def write_old(folder: Path) -> str:
    """What an older version made: a root below which there may be no other authority, and that signs no lists."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tulle root of cluster.local")])
    begins = datetime.fromtimestamp(NOW, UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 7, begins, begins + timedelta(days=3652))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(key_cert_sign=True), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier("spiffe://cluster.local")]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(mode=0o700)
    (folder / "key.pem").write_bytes(key_pem(key))
    (folder / "key.pem").chmod(0o600)
    (folder / "root.pem").write_text(pem_of([certificate]))
    return pem_of([certificate])


def test_the_root_of_an_older_version_is_kept_and_signs_leaves_itself_as_it_may_sign_nothing_else(
    tmp_path: Path,
) -> None:
    root = write_old(tmp_path / "ca")
    for _ in range(2):
        authority = open_authority(tmp_path / "ca")
        assert authority.bundle_pem == root
        chain = x509.load_pem_x509_certificates(authority.server_certificate(600).certificate.chain_pem.encode())
        assert len(chain) == 1
        chain[0].verify_directly_issued_by(x509.load_pem_x509_certificate(root.encode()))
        assert not authority.revokes
    assert len(list((tmp_path / "ca").iterdir())) == 2


def test_a_rotation_takes_an_older_versions_root_to_the_shape_of_today(tmp_path: Path) -> None:
    write_old(tmp_path / "ca")
    authority = open_authority(tmp_path / "ca")
    authority.rotate()
    assert not authority.revokes
    authority.activate()
    authority.finish()
    authority = open_authority(tmp_path / "ca")
    assert authority.revokes
    assert authority.server_certificate(600).certificate.chain_pem.count("BEGIN CERTIFICATE") == 2


@pytest.mark.parametrize("name", ["key.pem", "root.pem"])
def test_half_of_an_older_versions_root_is_refused(tmp_path: Path, name: str) -> None:
    write_old(tmp_path / "ca")
    (tmp_path / "ca" / name).unlink()
    with pytest.raises(StateUnusable, match=r"Restore .*/ca from a backup, or remove it"):
        open_authority(tmp_path / "ca")


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
