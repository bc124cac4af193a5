"""The mesh's certificate authority: signs what enrolment has decided, for the time that the settings give.

The root's files are root.py's matter, the certificates' shape is svid.py's.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct

from tulle.identity.csr import requested_key
from tulle.identity.root import Root, open_root
from tulle.identity.svid import BACK_DATED, sign_leaf
from tulle.model.spiffe import CONTROL_PLANE_ID


class IssuedCertificate(Struct, frozen=True):
    """A certificate chain in PEM, leaf first, without the root.

    not_before: when it was issued, from which its lifetime counts (the certificate itself begins a minute earlier).
    not_after: when it ends. Both are Unix time in whole seconds.
    """

    chain_pem: str
    not_before: int
    not_after: int


class ServerCertificate(Struct, frozen=True):
    """What the control plane's own TLS server needs."""

    key_pem: str
    certificate: IssuedCertificate


class Authority:
    """clock: Unix time in seconds."""

    def __init__(self, root: Root, clock: Callable[[], float]) -> None:
        self._root = root
        self._clock = clock
        self.bundle_pem = root.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @classmethod
    def open(cls, folder: Path, clock: Callable[[], float]) -> Authority:
        """The authority whose root lies in `folder`, made if there is none. Raises StateUnusable."""
        return cls(open_root(folder, clock()), clock)

    def issue(self, csr_pem: str, spiffe_id: str, ttl: float) -> IssuedCertificate:
        """Signs the key of a certificate request as `spiffe_id` for `ttl` seconds from now. Raises CsrRefused."""
        return self._sign(requested_key(csr_pem, spiffe_id), spiffe_id, ttl)

    def server_certificate(self, ttl: float) -> ServerCertificate:
        """A fresh key, and a certificate by which the control plane proves itself to proxies."""
        key = ec.generate_private_key(ec.SECP256R1())
        key_pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return ServerCertificate(key_pem.decode(), self._sign(key.public_key(), CONTROL_PLANE_ID, ttl))

    def _sign(self, key: ec.EllipticCurvePublicKey, spiffe_id: str, ttl: float) -> IssuedCertificate:
        issuer = self._root.certificate
        issued = int(self._clock())
        # A chain is good no longer than its root.
        ends = min(int(issued + ttl), int(issuer.not_valid_after_utc.timestamp()))
        certificate = sign_leaf(
            key,
            spiffe_id,
            datetime.fromtimestamp(issued, UTC) - BACK_DATED,
            datetime.fromtimestamp(ends, UTC),
            issuer,
            self._root.key,
        )
        return IssuedCertificate(certificate.public_bytes(serialization.Encoding.PEM).decode(), issued, ends)
