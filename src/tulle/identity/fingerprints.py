"""By what an agent that has never spoken to this mesh knows its root: SHA-256 of the certificate (DER), in hex."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256


def fingerprints(bundle_pem: str) -> tuple[str, ...]:
    """Of every certificate in the bundle, in its order."""
    found = x509.load_pem_x509_certificates(bundle_pem.encode())
    return tuple(dict.fromkeys(certificate.fingerprint(SHA256()).hex() for certificate in found))
