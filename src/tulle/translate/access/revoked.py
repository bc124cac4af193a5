"""A rule that fits callers whose certificate must no longer count. A handshake fails by the list of revoked certificates; this is
for connections that were open before.

Source: Envoy, RBAC `Policy.condition` (CEL), attributes of connections: `connection.sha256_peer_certificate_digest`, in hex.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# As it stands where Envoy tells which rule has decided.
NAME = "revoked certificate"


def revoked(digests: Sequence[str]) -> dict[str, Any]:
    """By its name; nothing if there are none."""
    if not digests:
        return {}
    shown = {"select_expr": {"operand": {"ident_expr": {"name": "connection"}}, "field": _DIGEST}}
    listed = {"list_expr": {"elements": [{"const_expr": {"string_value": digest}} for digest in digests]}}
    condition = {"call_expr": {"function": "@in", "args": [shown, listed]}}
    return {NAME: {"permissions": [{"any": True}], "principals": [{"any": True}], "condition": condition}}


_DIGEST = "sha256_peer_certificate_digest"
