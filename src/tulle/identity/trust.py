"""What all proxies are to trust now: the roots, and the certificates below them that are revoked."""

from __future__ import annotations

from msgspec import Struct


class Trust(Struct, frozen=True):
    """bundle_pem: the trusted roots. crl_pem: lists of revoked certificates, one of each issuer; "" if none is revoked.

    Who has a list checks every certificate, and refuses one whose issuer's list is missing: there are all or none.
    version: another one when something else is to be trusted or is revoked. Lists that only were signed anew have the same.
    """

    bundle_pem: str
    crl_pem: str
    version: str


class Holding(Struct, frozen=True):
    """What a proxy's Envoy has taken up, as its agent says: a Trust's version, and the root that its certificates lead to."""

    trust: str
    root: str
