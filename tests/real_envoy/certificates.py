"""Certificates for tests: a small authority, and what Envoy and Python's servers want of it as files."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

IDENTITY = "spiffe://cluster.local/ns/default/sa/reviews"
_SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"


class Authority:
    """Issues certificates into a folder, for hosts and SPIFFE ids."""

    def __init__(self, folder: Path, name: str = "tests") -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        ca = x509.BasicConstraints(ca=True, path_length=None)
        certificate = self._builder(self._name, self._key.public_key()).add_extension(ca, critical=True)
        self.roots = self._written(f"{name}-ca.pem", certificate.sign(self._key, hashes.SHA256()))

    def issue(self, name: str, *more: str) -> tuple[Path, Path]:
        """Certificate and key. The last part of a SPIFFE id is the certificate's subject as well. more: names of DNS."""
        key = ec.generate_private_key(ec.SECP256R1())
        san = x509.UniformResourceIdentifier(name) if "://" in name else x509.DNSName(name)
        common = [x509.NameAttribute(x509.NameOID.COMMON_NAME, name.rpartition("/")[2])] if "://" in name else []
        builder = self._builder(x509.Name(common), key.public_key())
        builder = builder.add_extension(x509.SubjectAlternativeName([san, *map(x509.DNSName, more)]), critical=True)
        file = self.folder / f"{name.replace('/', '_')}.key"
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return self._written(f"{name.replace('/', '_')}.pem", builder.sign(self._key, hashes.SHA256())), file

    def server(self, name: str) -> ssl.SSLContext:
        """How a server of that name speaks TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(name))
        return context

    def revoke(self, certificate: Path) -> Path:
        """A list on which the certificate is."""
        now = datetime.now(UTC)
        serial = x509.load_pem_x509_certificate(certificate.read_bytes()).serial_number
        revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - timedelta(minutes=1))
        builder = (
            x509.CertificateRevocationListBuilder().issuer_name(self._name).add_revoked_certificate(revoked.build())
        )
        dated = builder.last_update(now - timedelta(minutes=1)).next_update(now + timedelta(hours=1))
        return self._written("revoked.pem", dated.sign(self._key, hashes.SHA256()))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number())
        return builder.not_valid_before(now - timedelta(minutes=1)).not_valid_after(now + timedelta(hours=1))

    def _written(self, name: str, signed: x509.Certificate | x509.CertificateRevocationList) -> Path:
        file = self.folder / name
        file.write_bytes(signed.public_bytes(Encoding.PEM))
        return file


def write_system_roots(folder: Path, roots: Path) -> None:
    """What an agent writes for its Envoy: which file has the roots that the machine trusts."""
    (folder / "sds").mkdir(exist_ok=True)
    _secret(folder, "roots", {"validation_context": {"trusted_ca": {"filename": str(roots)}}})


def write_identity(folder: Path, *more: str) -> None:
    """What an agent writes for its Envoy: one workload's identity, for both ends of a call. more: as Authority.issue's."""
    write_identity_of(folder, Authority(folder, "mesh"), IDENTITY, *more)


def write_identity_of(folder: Path, authority: Authority, identity: str, *more: str) -> None:
    """The same, of this identity by this authority."""
    (folder / "sds").mkdir(exist_ok=True)
    certificate, key = authority.issue(identity, *more)
    pair = {"certificate_chain": _inline(certificate), "private_key": _inline(key)}
    _secret(folder, "identity", {"tls_certificate": pair})
    _secret(folder, "bundle", {"validation_context": {"trusted_ca": _inline(authority.roots)}})


def _secret(folder: Path, name: str, content: dict[str, Any]) -> None:
    (folder / "sds" / f"{name}.json").write_text(
        json.dumps({"resources": [{"@type": _SECRET, "name": name, **content}]})
    )


def _inline(file: Path) -> dict[str, str]:
    return {"inline_string": file.read_text()}
