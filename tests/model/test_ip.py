"""What texts say of addresses and ports."""

from __future__ import annotations

import pytest

from tulle.model.ip import is_address, is_loopback, port_of


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("1", 1),
        ("00080", 80),
        ("65535", 65535),
        *((text, None) for text in ("", "0", "65536", "000080", "-1", "+1", " 1", "1_0", "८०", "x", "00008099999")),
    ],
)
def test_a_port_is_at_most_five_plain_digits(text: str, port: int | None) -> None:
    assert port_of(text) == port


@pytest.mark.parametrize(
    ("text", "is_one", "is_own"),
    [
        ("127.9.0.1", True, True),
        ("::1", True, True),
        ("10.0.0.1", True, False),
        ("fe80::1%eth0", True, False),
        ("[::1]", False, False),
        ("127.0.0.1/8", False, False),
        ("localhost", False, False),
        ("", False, False),
    ],
)
def test_an_address_is_one_of_ipv4_or_ipv6(text: str, is_one: bool, is_own: bool) -> None:
    assert (is_address(text), is_loopback(text)) == (is_one, is_own)
