"""Of what an Envoy says of what it refuses, the reason comes first."""

from __future__ import annotations

import time

import pytest

from tulle.xds.reasons import reason_first, reason_of

DUMP = 'goo.gle/debugproto   \nname: "a (b): c"\nring_hash_lb_config {\n  minimum_ring_size {\n  }\n}\n'
RULE = (
    "Proto constraint validation failed (ClusterValidationError.RingHashLbConfig: embedded message failed validation"
    " | caused by RingHashLbConfigValidationError.MinimumRingSize: value must be less than or equal to 8388608)"
)
RING = "RingHashLbConfig.MinimumRingSize: value must be less than or equal to 8388608"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (f"Error adding/updating cluster(s) a: {DUMP}: {RULE}", RING),
        (f"Error adding/updating cluster(s) a: {RULE}: {DUMP}", RING),
        (
            f"{DUMP}: Proto constraint validation failed (RouteActionValidationError.HostRewriteLiteral: value does not "
            'match regex pattern "^[^\\x00]*$")',
            'RouteAction.HostRewriteLiteral: value does not match regex pattern "^[^\\x00]*$"',
        ),
        ("Invalid path: /nowhere/ca.pem", "Invalid path: /nowhere/ca.pem"),
        ("route: unknown cluster 'b'\nand more", "route: unknown cluster 'b'"),
        (f"Error adding/updating cluster(s) a: {DUMP}", "Error adding/updating cluster(s) a"),
        ("", ""),
        ("no" * 1000, "no" * 250 + "…"),
    ],
)
def test_the_reason_is_found_wherever_it_stands(said: str, reason: str) -> None:
    assert reason_of(said) == reason


def test_nothing_of_it_is_lost() -> None:
    said = f"Error adding/updating cluster(s) a: {DUMP}: {RULE}"
    assert reason_first(said) == f"{RING}\n{said}"
    for plain in ("no such timeout", "a\nb", "", "\n", "no" * 1000):
        assert reason_first(plain) in (plain, f"{reason_of(plain)}\n{plain}")
    assert reason_first("no" * 1000) == "no" * 1000


@pytest.mark.parametrize(
    "piece", [" ", "\n", "(", "): ", "goo.gle/debug", "Proto constraint validation failed (", "| caused by "]
)
def test_no_text_takes_long(piece: str) -> None:
    start = time.process_time()
    reason_first(piece * 200_000)
    assert time.process_time() - start < 2
