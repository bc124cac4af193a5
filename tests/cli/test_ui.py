"""`tulle ui`, as it is typed, and how the link comes to the browser."""

from __future__ import annotations

import re
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from tulle.api.identity_views import TicketView
from tulle.cli.ui import _open
from tulle.model.api_token import ApiToken, decode, encode

LINK = re.compile(r"http://127\.0\.0\.1:10080/ui/#ticket=[\w-]{43}\n")


async def test_it_prints_a_link_for_one_browser(tulle: Any) -> None:
    first, second = await tulle("ui"), await tulle("ui", "--no-open", "--role", "viewer")
    assert LINK.fullmatch(first.out) and LINK.fullmatch(second.out) and first.out != second.out
    assert first.err == "it signs one browser in as admin, within 60 s\n"
    assert "as viewer" in second.err
    told = (await tulle("ui", "-o", "json")).json
    assert (told["role"], told["url"].endswith(told["ticket"])) == ("admin", True)


async def test_a_viewer_gets_no_admins_link(tulle: Any) -> None:
    token = decode((await tulle("user", "create", "vera", "--role", "viewer")).out.strip())
    here = encode(ApiToken(token.user, token.secret))
    assert "as viewer" in (await tulle("ui", TULLE_API=here)).err
    refused = await tulle("ui", "--role", "admin", TULLE_API=here)
    assert (refused.code, refused.out, "has the role viewer" in refused.err) == (1, "", True)


def test_the_link_is_in_no_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    browser.write_text(
        f'#!/bin/sh\necho "$1" >{seen}.new; cat /proc/$PPID/cmdline >>{seen}.new; mv {seen}.new {seen}\n'
    )
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(browser))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    _open(TicketView("s3cret", "http://127.0.0.1:10080/ui/#ticket=s3cret", "admin", 1.0))
    until = time.monotonic() + 20
    while not seen.exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    words = seen.read_text()
    assert "s3cret" not in words and words.startswith("file://")
    [page] = tmp_path.glob("tulle-*.html")
    assert (
        stat.S_IMODE(page.stat().st_mode) == 0o600
        and "url=http://127.0.0.1:10080/ui/#ticket=s3cret" in page.read_text()
    )
    while page.exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    monkeypatch.setattr("tempfile.tempdir", None)
