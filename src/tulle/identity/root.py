"""The two kinds of authority that the mesh makes for itself: a root for ten years, and short-lived ones below it.

Shape: X509-SVID standard, sections 3.2 (the SPIFFE id of an authority has no path), 4.1 (CA) and 4.3 (keyCertSign);
RFC 5280, section 4.2.1.9: below the root there is one more authority, and below that only leaves.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tulle.identity.ca import Ca
from tulle.identity.svid import BACK_DATED, key_usage
from tulle.model.spiffe import TRUST_DOMAIN

_LIFETIME = timedelta(days=3652)


def new_root(now: datetime) -> Ca:
    """A new P-256 key and its self-signed certificate, good for ten years."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("root", key)
    builder = _certificate(key, name, now, now + _LIFETIME, path_length=1)
    return Ca(key, builder.issuer_name(name).sign(key, hashes.SHA256()))


def new_intermediate(above: Ca, now: datetime, lifetime: timedelta) -> Ca:
    """A new P-256 key and its certificate by `above`, which must have room. It ends with `above` at the latest."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _certificate(key, _name("intermediate", key), now, min(now + lifetime, above.ends), path_length=0)
        .issuer_name(above.certificate.subject)
        .add_extension(above.key_identifier, critical=False)
    )
    return Ca(key, builder.sign(above.key, hashes.SHA256()), above.path)


def _name(kind: str, key: ec.EllipticCurvePrivateKey) -> x509.Name:
    """Another one for each key: a verifier finds issuers by their names first."""
    number = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest.hex()[:8]
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "tulle"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"tulle {kind} {number} of {TRUST_DOMAIN}"),
        ]
    )


def _certificate(
    key: ec.EllipticCurvePrivateKey, name: x509.Name, now: datetime, ends: datetime, path_length: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACK_DATED)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{TRUST_DOMAIN}")]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
