"""Certificates for tests: a small CA, made once per process."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

Issue = Callable[[str], tuple[bytes, bytes]]


class Authority:
    """Issues certificates that name a host or a SPIFFE id."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
        ca = x509.BasicConstraints(ca=True, path_length=None)
        self.certificate = self._builder(self._name, self._key.public_key()).add_extension(ca, critical=True)
        self.roots = self.certificate.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def issue(self, name: str) -> tuple[bytes, bytes]:
        """Key and certificate, PEM; `name` is a SPIFFE id, or a host."""
        key = ec.generate_private_key(ec.SECP256R1())
        san = x509.UniformResourceIdentifier(name) if "://" in name else x509.DNSName(name)
        builder = self._builder(x509.Name([]), key.public_key())
        builder = builder.add_extension(x509.SubjectAlternativeName([san]), critical=True)
        certificate = builder.sign(self._key, hashes.SHA256())
        encoded_key = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return encoded_key, certificate.public_bytes(Encoding.PEM)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number())
        return builder.not_valid_before(now - timedelta(minutes=1)).not_valid_after(now + timedelta(hours=1))


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def roots(authority: Authority) -> bytes:
    """What everybody trusts."""
    return authority.roots


@pytest.fixture
def issue(authority: Authority) -> Issue:
    """Name -> key and certificate."""
    return authority.issue


@pytest.fixture
def strangers() -> Issue:
    """The same, from an authority that nobody trusts."""
    return Authority().issue
