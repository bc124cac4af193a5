"""resolv.conf as the C library reads it, and while it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tulle.agent.dns.resolv_conf import Nameservers, read_nameservers

DEFAULT = ("127.0.0.1",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", DEFAULT),
        ("nameserver 10.0.0.2\n", ("10.0.0.2",)),
        ("nameserver\t10.0.0.2   # mine\nnameserver 10.0.0.3;or this", ("10.0.0.2", "10.0.0.3")),
        ("nameserver 1.1.1.1\n" * 5, ("1.1.1.1",) * 3),
        ("# nameserver 10.0.0.2\n;nameserver 10.0.0.3\n nameserver 10.0.0.4\n", DEFAULT),
        ("nameserver\nnameserver ns.example.com\nnameserver 10.0.0.2\n", ("10.0.0.2",)),
        ("nameserver ::1\nnameserver fe80::1%eth0\n", ("::1", "fe80::1%eth0")),
        ("nameserver 2001:DB8:0::1\nnameserver 127.1\n", ("2001:db8::1", "127.0.0.1")),
        ("search a.com b.com\ndomain c.com\n", DEFAULT),
        ("options ndots:5\nsortlist 1.2.3.4\n\x00\xff\n", DEFAULT),
    ],
)
def test_the_file_says_whom_to_ask(tmp_path: Path, text: str, expected: tuple[str, ...]) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text(text, encoding="latin-1")
    assert read_nameservers(file) == expected


def test_without_a_file_the_machine_itself_is_asked(tmp_path: Path) -> None:
    assert read_nameservers(tmp_path / "resolv.conf") == ("127.0.0.1",)


def test_a_change_of_the_file_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    nameservers = Nameservers(file)
    assert nameservers() == ("127.0.0.1",)
    for address in ("10.0.0.2", "10.0.0.33"):
        aside = tmp_path / "aside"
        aside.write_text(f"nameserver {address}\n")
        aside.replace(file)
        assert nameservers() == nameservers() == (address,)
    file.unlink()
    assert nameservers() == ("127.0.0.1",)


def test_while_the_file_can_not_be_read_the_last_nameservers_stay(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 10.0.0.2\n")
    nameservers = Nameservers(file)
    assert nameservers() == ("10.0.0.2",)
    file.unlink()
    file.mkdir()
    assert nameservers() == ("10.0.0.2",)
    file.rmdir()
    file.write_text("nameserver 10.0.0.3\n")
    assert nameservers() == ("10.0.0.3",)
