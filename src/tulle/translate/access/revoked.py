"""A rule that fits callers whose certificates must no longer count. A handshake fails by the list of revoked certificates; this
is for connections that were open before.

Such a connection may be older than all certificates that its caller has now. So the rule is not about one of these, but about
their subject, which is the same in all.

Source: Envoy, RBAC `Policy.condition` (CEL), attributes of connections: `connection.subject_peer_certificate`, as of RFC 2253.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# As it stands where Envoy tells which rule has decided.
NAME = "revoked certificate"


def revoked(subjects: Sequence[str]) -> dict[str, Any]:
    """By its name; nothing if there are none."""
    if not subjects:
        return {}
    shown = {"select_expr": {"operand": {"ident_expr": {"name": "connection"}}, "field": _SUBJECT}}
    listed = {"list_expr": {"elements": [{"const_expr": {"string_value": subject}} for subject in subjects]}}
    condition = {"call_expr": {"function": "@in", "args": [shown, listed]}}
    return {NAME: {"permissions": [{"any": True}], "principals": [{"any": True}], "condition": condition}}


_SUBJECT = "subject_peer_certificate"
