"""Lengths of time as Envoy's messages have them."""

from __future__ import annotations


def duration(nanoseconds: int) -> dict[str, int]:
    """A google.protobuf.Duration; what is 0 in it is left out, as in messages."""
    seconds, nanos = divmod(nanoseconds, 1_000_000_000)
    return {**({"seconds": seconds} if seconds else {}), **({"nanos": nanos} if nanos else {})}
