"""Access rules for connections of which nobody reads requests. They are decided at the first byte that the caller sends.

A change counts for new connections: those that are open have been decided.
"""

from __future__ import annotations

from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.access import Access
from tulle.ir.authorizers import Authorizer
from tulle.translate.access import rule_sets
from tulle.translate.access.custom import tcp_custom_filters

_RBAC = "envoy.extensions.filters.network.rbac.v3.RBAC"


def tcp_access_filters(
    access: Access, revoked: tuple[str, ...], authorizer: Authorizer | None = None
) -> list[dict[str, Any]]:
    """In their order; only those that have something to decide."""
    sets = {
        "tulle.audit": rule_sets.auditing(access, tcp=True),
        "tulle.deny": rule_sets.denying(access, revoked, tcp=True),
        "tulle.allow": rule_sets.allowing(access, tcp=True),
    }
    return tcp_custom_filters(access, authorizer) + [
        {"name": name, "typed_config": pack(message(_RBAC)(stat_prefix="tcp.inbound.", **settings))}
        for name, settings in sets.items()
        if settings
    ]
