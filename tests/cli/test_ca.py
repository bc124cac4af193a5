"""`tulle ca`: what it shows and refuses; what a rotation does is an end-to-end test's matter."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tulle.identity.ca import key_pem, pem_of
from tulle.identity.root import new_intermediate, new_root


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with an authority as Istio's users have it."""
    root = new_root(datetime.now(UTC))
    below = new_intermediate(root, datetime.now(UTC), timedelta(days=30))
    folder = tmp_path / "cacerts"
    folder.mkdir()
    (folder / "ca-cert.pem").write_text(pem_of([below.certificate]))
    (folder / "ca-key.pem").write_bytes(key_pem(below.key))
    (folder / "ca-key.pem").chmod(0o600)
    (folder / "root-cert.pem").write_text(pem_of([root.certificate]))
    return folder


async def test_status_says_which_roots_are_trusted_and_who_signs(tulle: Any) -> None:
    shown = await tulle("ca", "status")
    assert shown.code == 0
    assert "no rotation is under way" in shown.out and "handshakes are refused" in shown.out
    view = json.loads((await tulle("ca", "status", "-o", "json")).out)
    assert view["phase"] == "steady" and view["revokes"]
    [root], [issuer] = view["roots"], view["issuers"]
    assert root["signs"] and root["stays"] and issuer["root"] == root["id"] and issuer["state"] == "signs"
    assert root["id"] in shown.out and issuer["id"] in shown.out


async def test_a_rotation_begins_once_and_ends_once(tulle: Any) -> None:
    early = await tulle("ca", "finish")
    assert early.code == 1 and "no rotation is under way" in early.err
    begun = json.loads((await tulle("ca", "rotate", "-o", "json")).out)
    assert len(begun["roots"]) == 2
    again = await tulle("ca", "rotate")
    assert again.code == 1 and "under way" in again.err
    done = json.loads((await tulle("ca", "finish", "--force", "-o", "json")).out)
    assert [root["id"] for root in done["roots"]] == [root["id"] for root in begun["roots"] if root["stays"]]


async def test_what_is_brought_along_is_the_next_root(tulle: Any, files: Path) -> None:
    view = json.loads((await tulle("ca", "rotate", "--ca-dir", str(files), "-o", "json")).out)
    assert len(view["roots"]) == 2
    assert (await tulle("ca", "finish", "--force")).code == 0


async def test_what_can_be_no_authority_is_refused_and_named(tulle: Any, files: Path) -> None:
    (files / "ca-key.pem").chmod(0o644)
    readable = await tulle("ca", "rotate", "--ca-dir", str(files))
    assert readable.code == 1 and f"chmod 600 {files}/ca-key.pem" in readable.err
    (files / "ca-key.pem").chmod(0o600)
    (files / "ca-key.pem").write_bytes(key_pem(new_root(datetime.now(UTC)).key))
    wrong = await tulle("ca", "rotate", "--ca-dir", str(files))
    assert wrong.code == 1 and "the key is not the certificate's" in wrong.err
    assert "PRIVATE" not in wrong.err + wrong.out
    assert json.loads((await tulle("ca", "status", "-o", "json")).out)["phase"] == "steady"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("status", "--ca-dir", "."), "can be brought along to `tulle ca rotate`"),
        (("rotate", "--force"), "--force is for `tulle ca finish`"),
        (("rotate", "--ca-cert", "a", "--ca-root", "b"), "give --ca-key as well"),
        (("rotate", "--ca-chain", "a"), "give --ca-cert, --ca-key, --ca-root as well"),
        (("rotate", "--ca-dir", ".", "--ca-cert", "a"), "leave out --ca-cert"),
        (("rotate", "--ca-dir", "/nowhere"), "there is no /nowhere/ca-key.pem"),
        (("begin",), "'begin' is not one of"),
    ],
)
async def test_a_mistake_in_the_options_asks_nobody(alone: Any, words: tuple[str, ...], message: str) -> None:
    ended = await alone("ca", *words)
    assert ended.code == 2
    assert message in " ".join(ended.err.split())


async def test_a_file_that_is_not_there_is_named(alone: Any) -> None:
    ended = await alone("ca", "rotate", "--ca-cert", "/no/a", "--ca-key", "/no/b", "--ca-root", "/no/c")
    assert ended.code == 1 and "can't read /no/a" in ended.err
