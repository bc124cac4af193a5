"""The mesh's root certificate and its key, in `<data>/ca`: made at the first start, checked at every other.

The folder is filled aside and renamed into place, so after a crash at any moment it is there in full or not at all.
Shape of the root: X509-SVID standard, sections 3.2 (its SPIFFE id has no path), 4.1 (CA) and 4.3 (keyCertSign).
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tulle.identity.private import StateUnusable, create_private, read_private, sync_folder
from tulle.identity.svid import BACK_DATED, key_usage
from tulle.model.spiffe import TRUST_DOMAIN

KEY = "key.pem"
CERTIFICATE = "root.pem"
_LIFETIME = timedelta(days=3652)


@dataclass(frozen=True)
class Root:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def open_root(folder: Path, now: float) -> Root:
    """The root in `folder`; a new one if there is no such folder. Raises StateUnusable if it can't be used."""
    if not folder.exists():
        _create(folder, datetime.fromtimestamp(now, UTC))
    return _load(folder, datetime.fromtimestamp(now, UTC))


def _create(folder: Path, now: datetime) -> None:
    root = new_root(now)
    aside = folder.with_name(f".{folder.name}.new")
    if aside.exists():
        shutil.rmtree(aside)
    aside.mkdir(mode=0o700)
    key = root.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    create_private(aside / KEY, key)
    create_private(aside / CERTIFICATE, root.certificate.public_bytes(serialization.Encoding.PEM))
    aside.rename(folder)
    sync_folder(folder.parent)


def new_root(now: datetime) -> Root:
    """A new P-256 key and its self-signed certificate, good for ten years."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "tulle"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"tulle root of {TRUST_DOMAIN}"),
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACK_DATED)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(key_cert_sign=True), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{TRUST_DOMAIN}")]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Root(key, certificate)


def _load(folder: Path, now: datetime) -> Root:
    anew = f"Restore {folder} from a backup, or remove it to make a new authority, and then restart all agents"
    try:
        key = serialization.load_pem_private_key(read_private(folder / KEY), password=None)
        certificate = x509.load_pem_x509_certificate((folder / CERTIFICATE).read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StateUnusable(f"the certificate authority is incomplete: no {error.filename}. {anew}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise StateUnusable(f"the certificate authority in {folder} can't be read: {error}. {anew}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise StateUnusable(f"{folder / KEY} is not the key of {folder / CERTIFICATE}. {anew}")
    if not _is_own_root(certificate):
        raise StateUnusable(f"{folder / CERTIFICATE} is no root certificate of {TRUST_DOMAIN}. {anew}")
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise StateUnusable(
            f"{folder / CERTIFICATE} is good from {certificate.not_valid_before_utc:%Y-%m-%d} to "
            f"{certificate.not_valid_after_utc:%Y-%m-%d}, and this machine's clock says {now:%Y-%m-%d}. "
            f"Set the clock right; if it is: {anew[0].lower()}{anew[1:]}"
        )
    return Root(key, certificate)


def _is_own_root(certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(certificate)
        extensions = certificate.extensions
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound):
        return False
    ids = names.get_values_for_type(x509.UniformResourceIdentifier)
    return constraints.ca and ids == [f"spiffe://{TRUST_DOMAIN}"]
