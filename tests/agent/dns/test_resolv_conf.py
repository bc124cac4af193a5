"""resolv.conf as the C library reads it, and while it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tulle.agent.dns.resolv_conf import Nameservers, ResolvConf, read_resolv_conf


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ResolvConf()),
        ("nameserver 10.0.0.2\n", ResolvConf(("10.0.0.2",))),
        ("nameserver\t10.0.0.2   # mine\nnameserver 10.0.0.3;or this", ResolvConf(("10.0.0.2", "10.0.0.3"))),
        ("nameserver 1.1.1.1\n" * 5, ResolvConf(("1.1.1.1",) * 3)),
        ("# nameserver 10.0.0.2\n;nameserver 10.0.0.3\n nameserver 10.0.0.4\n", ResolvConf()),
        ("nameserver\nnameserver ns.example.com\nnameserver 10.0.0.2\n", ResolvConf(("10.0.0.2",))),
        ("nameserver ::1\nnameserver fe80::1%eth0\n", ResolvConf(("::1", "fe80::1%eth0"))),
        ("nameserver 2001:DB8:0::1\nnameserver 127.1\n", ResolvConf(("2001:db8::1", "127.0.0.1"))),
        ("search a.com b.com\n", ResolvConf(search=("a.com", "b.com"))),
        ("search a.com\ndomain c.com d.com\n", ResolvConf(search=("c.com",))),
        ("options ndots:5\nsortlist 1.2.3.4\n\x00\xff\n", ResolvConf()),
    ],
)
def test_the_file_says_whom_to_ask(tmp_path: Path, text: str, expected: ResolvConf) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text(text, encoding="latin-1")
    assert read_resolv_conf(file) == expected


def test_without_a_file_the_machine_itself_is_asked(tmp_path: Path) -> None:
    assert read_resolv_conf(tmp_path / "resolv.conf") == ResolvConf(("127.0.0.1",))


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
