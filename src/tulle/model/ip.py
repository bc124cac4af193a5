"""What texts say of IP: addresses and ports."""

from __future__ import annotations

from ipaddress import ip_address


def is_address(text: str) -> bool:
    """Whether it is one address of IPv4 or IPv6."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(text: str) -> bool:
    """Whether it is an address by which a machine reaches itself."""
    return is_address(text) and ip_address(text).is_loopback


def port_of(text: str) -> int | None:
    """1 to 65535, in plain decimal; None if it is no port."""
    is_number = text.isascii() and text.isdigit() and len(text) <= 5
    return int(text) if is_number and 1 <= int(text) <= 65535 else None
