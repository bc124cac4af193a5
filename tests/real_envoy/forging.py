"""An authority that signs whatever it is asked to: certificates as no mesh gives them, and chains that lead nowhere.

Ours signs none of these. What is refused here is refused even if the authority that a user brings along makes a mistake.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from certificates import Authority

_numbers = count(1)


class Signed:
    """A certificate with its key, and the certificates that lead to its root."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, above: Sequence[Signed]) -> None:
        self.certificate, self.key, self.above = certificate, key, above

    def written(self, folder: Path) -> Path:
        """Key and chain in one file."""
        file = folder / f"forged-{next(_numbers)}.pem"
        private = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain = [one.certificate.public_bytes(Encoding.PEM) for one in (self, *self.above)]
        file.write_bytes(private + b"".join(chain))
        return file


class Forger(Authority):
    """Its root is trusted."""

    def sign(
        self,
        *names: str | x509.GeneralName,
        subject: str = "",
        since: float = -60,
        until: float = 3600,
        is_ca: bool = False,
        usages: Sequence[ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
        by: Signed | None = None,
    ) -> Signed:
        """names: URIs, or others. since, until: seconds from now. by: who signs; the root if None."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        given = [x509.UniformResourceIdentifier(name) if isinstance(name, str) else name for name in names]
        common = [x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)] if subject else []
        issuer, signing = (by.certificate.subject, by.key) if by else (self._name, self._key)
        builder = x509.CertificateBuilder(issuer, x509.Name(common), key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now + timedelta(seconds=since))
        builder = builder.not_valid_after(now + timedelta(seconds=until))
        builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if given:
            builder = builder.add_extension(x509.SubjectAlternativeName(given), critical=not common)
        return Signed(builder.sign(signing, hashes.SHA256()), key, (by, *by.above) if by else ())
