"""The folder `<data>/ca`: which authorities there are, which of them signs, and their keys.

    authority.json    names the files that count, and the one that signs; replaced as one, so that a change is there or is not
    <id>.pem          a Ca: its key, its certificate, and those above it; never changed

What is not named in authority.json is left by a change that was cut off, or by an older version (`key.pem` and `root.pem`),
and goes. Reading checks everything: a damaged authority is never replaced silently.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec
from cryptography import x509
from msgspec import Struct

from tulle.identity.ca import Ca, CaUnusable, check, decoded, encoded, id_of
from tulle.identity.private import StateUnusable, create_private, read_private, sync_folder

MANIFEST = "authority.json"
_OLD_KEY, _OLD_ROOT = "key.pem", "root.pem"
_OURS = re.compile(r"\.?([0-9a-f]{32}\.pem|key\.pem|root\.pem|authority\.json)(\.new)?")


@dataclass(frozen=True)
class Authorities:
    """What there is.

    anchors: those that the mesh's trust rests on, the older first: one, or two while the root is rotated. issuers: those whose
    leaves may still be shown. active: the issuer that signs. upcoming: the one that will, once all know what they need to.
    retired: of issuers that signed once, by their ids, until when their leaves may be shown, in Unix seconds.
    """

    anchors: tuple[Ca, ...]
    issuers: tuple[Ca, ...]
    active: Ca
    upcoming: Ca | None = None
    retired: Mapping[str, int] = field(default_factory=dict)

    @property
    def roots(self) -> tuple[x509.Certificate, ...]:
        return tuple({anchor.root_id: anchor.root for anchor in self.anchors}.values())

    def anchor_of(self, issuer: Ca) -> Ca | None:
        """None if another authority below the same root has taken its place."""
        ids = {id_of(certificate) for certificate in issuer.path}
        return next((anchor for anchor in self.anchors if anchor.id in ids), None)


class _Manifest(Struct, frozen=True):
    anchors: tuple[str, ...]
    issuers: tuple[str, ...]
    active: str
    upcoming: str = ""
    retired: dict[str, int] = {}


def create(folder: Path, known: Authorities) -> None:
    """A folder that after a crash at any moment is there in full or not at all."""
    aside = folder.with_name(f".{folder.name}.new")
    if aside.exists():
        shutil.rmtree(aside)
    aside.mkdir(mode=0o700)
    _write(aside, known)
    aside.rename(folder)
    sync_folder(folder.parent)


def change(folder: Path, known: Authorities) -> None:
    """Returns when it is durable; after a crash at any moment there is the old or the new. Raises OSError."""
    _write(folder, known)
    _tidy(folder, known)


def load(folder: Path) -> Authorities | None:
    """What is in the folder; None if only an older version's root is. Raises StateUnusable."""
    anew = anew_of(folder)
    try:
        content = read_private(folder / MANIFEST)
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise StateUnusable(f"{folder} is no folder. {anew}") from error
    try:
        manifest = msgspec.json.decode(content, type=_Manifest)
        cas = {name: _load(folder, name) for name in {*manifest.anchors, *manifest.issuers}}
        known = Authorities(
            tuple(cas[name] for name in manifest.anchors),
            tuple(cas[name] for name in manifest.issuers),
            cas[manifest.active],
            cas[manifest.upcoming] if manifest.upcoming else None,
            manifest.retired,
        )
    except (msgspec.MsgspecError, KeyError) as error:
        raise StateUnusable(f"{folder / MANIFEST} is damaged. {anew}") from error
    if not known.anchors:
        raise StateUnusable(f"{folder / MANIFEST} names no authority. {anew}")
    _tidy(folder, known)
    return known


def check_anchors(folder: Path, known: Authorities, now: datetime) -> None:
    """Whether they are good now. Raises StateUnusable."""
    for anchor in known.anchors:
        _check(anchor, folder / f"{anchor.id}.pem", now, anew_of(folder))


def load_old(folder: Path, now: datetime) -> Ca:
    """The root that an older version made. Raises StateUnusable."""
    anew = anew_of(folder)
    try:
        content = read_private(folder / _OLD_KEY) + (folder / _OLD_ROOT).read_bytes()
        ca = decoded(content)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StateUnusable(f"the certificate authority is incomplete: no {folder / MANIFEST}. {anew}") from error
    except CaUnusable as error:
        raise StateUnusable(f"the certificate authority in {folder} can't be used: {error}. {anew}") from error
    _check(ca, folder / _OLD_ROOT, now, anew)
    return ca


def anew_of(folder: Path) -> str:
    return f"Restore {folder} from a backup, or remove it to make a new authority, and then restart all agents"


def _load(folder: Path, name: str) -> Ca:
    path, anew = folder / f"{name}.pem", anew_of(folder)
    try:
        ca = decoded(read_private(path))
    except FileNotFoundError as error:
        raise StateUnusable(f"the certificate authority is incomplete: no {path}. {anew}") from error
    except CaUnusable as error:
        raise StateUnusable(f"{path}: {error}. {anew}") from error
    if ca.id != name or ca.key.public_key() != ca.certificate.public_key():
        raise StateUnusable(f"{path} does not hold what its name says, or not its key. {anew}")
    return ca


def _check(anchor: Ca, path: Path, now: datetime, anew: str) -> None:
    try:
        check(anchor, now)
    except CaUnusable as error:
        hint = f"If the clock is right: {anew[0].lower()}{anew[1:]}" if "clock" in str(error) else anew
        raise StateUnusable(f"{path}: {error}. {hint}") from error


def _write(folder: Path, known: Authorities) -> None:
    for ca in _files(known):
        if not (folder / f"{ca.id}.pem").exists():
            create_private(folder / f"{ca.id}.pem", encoded(ca))
    manifest = _Manifest(
        tuple(anchor.id for anchor in known.anchors),
        tuple(issuer.id for issuer in known.issuers),
        known.active.id,
        known.upcoming.id if known.upcoming else "",
        dict(known.retired),
    )
    create_private(folder / MANIFEST, msgspec.json.encode(manifest) + b"\n")


def _tidy(folder: Path, known: Authorities) -> None:
    named = {MANIFEST, *(f"{ca.id}.pem" for ca in _files(known))}
    for path in folder.iterdir():
        if path.name not in named and _OURS.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _files(known: Authorities) -> Iterable[Ca]:
    return {ca.id: ca for ca in (*known.anchors, *known.issuers)}.values()
