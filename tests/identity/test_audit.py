"""The audit log: what was said is in it, in order, whatever was said and whatever the disk does."""

from __future__ import annotations

import json
import logging
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tulle.agent.keys import _pair
from tulle.identity import audit
from tulle.identity.audit import Event
from tulle.identity.authority import Authority
from tulle.identity.csr import CsrRefused
from tulle.identity.root import new_root

NOW = 1_800_000_000.0
WEB = "spiffe://cluster.local/ns/default/sa/web"


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_certificate_that_is_issued_and_one_that_is_refused_are_in_it_without_a_secret(tmp_path: Path) -> None:
    pair = _pair(WEB)
    with audit.opened(tmp_path / "audit.log") as log:
        authority = Authority(new_root(datetime.fromtimestamp(NOW, UTC)), lambda: NOW, log)
        issued = authority.issue(pair["csr"], WEB, 60, "web-3fa2c1")
        with pytest.raises(CsrRefused):
            authority.issue("no\nrequest", WEB, 60, "web-3fa2c1")
    assert lines(tmp_path / "audit.log") == [
        {
            "time": NOW,
            "event": "certificate issued",
            "who": "web-3fa2c1",
            "spiffe_id": WEB,
            "serial": issued.serial,
            "not_after": issued.not_after,
        },
        {
            "time": NOW,
            "event": "certificate refused",
            "who": "web-3fa2c1",
            "spiffe_id": WEB,
            "reason": "the certificate request is no PKCS #10 request in PEM",
        },
    ]
    assert stat.S_IMODE((tmp_path / "audit.log").stat().st_mode) == 0o600


@given(st.text(), st.text())
def test_whatever_is_said_is_one_line_of_printable_text(
    tmp_path_factory: pytest.TempPathFactory, a: str, b: str
) -> None:
    path = tmp_path_factory.mktemp("log") / "audit.log"
    with audit.opened(path) as log:
        log(Event(NOW, "changed", a, what=b, before={"a": a}, after=[b]))
    content = path.read_bytes()
    assert content.endswith(b"\n") and content.count(b"\n") == 1
    assert all(0x20 <= byte < 0x7F for byte in content[:-1])
    assert lines(path)[0]["who"] == a


def test_nobody_fills_it_with_one_request(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.touch(mode=0o644)
    with audit.opened(path) as log:
        log(Event(NOW, "certificate refused", "w" * 10**6, reason="r" * 10**6, after={"spec": "s" * 10**6}))
    assert path.stat().st_size < 5000
    assert lines(path)[0]["after"] == "(too long to be kept here)"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_log_that_is_long_enough_is_put_aside_once(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    for number in range(40):
        with audit.opened(path, most_bytes=1000) as log:
            log(Event(NOW, "changed", f"somebody {number}"))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["audit.log", "audit.log.1"]
    assert all(file.stat().st_size <= 1000 for file in tmp_path.iterdir())
    said = [line["who"] for line in (*lines(tmp_path / "audit.log.1"), *lines(path))]
    assert said == [f"somebody {number}" for number in range(40 - len(said), 40)]


def test_a_disk_that_takes_nothing_stops_nobody_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "audit.log"
    path.symlink_to("/dev/full")  # which is refused as well: what others may have put there is not followed
    with caplog.at_level(logging.WARNING), audit.opened(path) as log:
        for _ in range(2000):
            log(Event(NOW, "changed", "somebody"))
    assert sum("the mesh goes on without" in record.message for record in caplog.records) == 1


def test_half_a_line_does_not_stay() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(OSError, match="No space left"):
            audit._write_whole(descriptor, b"a line\n")
    finally:
        os.close(descriptor)
