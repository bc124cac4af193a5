"""What access rules can have decided against a caller, as agents count it and tell the control plane.

Standard library only: the agent reads this file.
"""

from __future__ import annotations

from enum import StrEnum

MOST = 200  # kinds of decisions that one agent tells apart
LONGEST = 1024  # of a text in them, all of printable ASCII


class What(StrEnum):
    """provider denied: also if it could not be asked."""

    DENIED = "denied"
    WOULD_DENY = "would deny"
    AUDITED = "audited"
    TOKEN_REFUSED = "token refused"  # noqa: S105
    PROVIDER_DENIED = "provider denied"
