"""Whether a port wants the mesh's mutual TLS."""

from __future__ import annotations

from enum import StrEnum


class MutualTls(StrEnum):
    """What a port takes from its callers (PeerAuthentication)."""

    STRICT = "strict"  # the mesh's mutual TLS and nothing else
    PERMISSIVE = "permissive"  # plain text as well
    DISABLED = "disabled"  # plain text alone
