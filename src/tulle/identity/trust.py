"""What all proxies are to trust now: the roots, and the certificates below them that are revoked."""

from __future__ import annotations

import hashlib
from functools import cached_property

from msgspec import Struct


class Trust(Struct, frozen=True, dict=True):
    """bundle_pem: the trusted roots. crl_pem: lists of revoked certificates, one of each issuer; "" if none is revoked.

    Who has a list checks every certificate, and refuses one whose issuer's list is missing: there are all or none.
    """

    bundle_pem: str
    crl_pem: str = ""

    @cached_property
    def version(self) -> str:
        """The same for the same content, and another for any other."""
        return hashlib.sha256(f"{self.bundle_pem}\0{self.crl_pem}".encode()).hexdigest()[:16]


class Holding(Struct, frozen=True):
    """What a proxy's Envoy has taken up, as its agent says: a Trust's version, and the root that its certificates lead to."""

    trust: str
    root: str
