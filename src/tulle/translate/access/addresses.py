"""Ranges of IP addresses."""

from __future__ import annotations

from typing import Any


def cidr(text: str) -> dict[str, Any]:
    """`10.0.0.0/8` as Envoy's CidrRange."""
    prefix, _, length = text.partition("/")
    return {"address_prefix": prefix, "prefix_len": {"value": int(length)}}
