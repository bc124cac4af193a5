"""The shape of the mesh's certificates, written and read: X.509 SVIDs.

Source: X509-SVID standard: section 2 (exactly one URI SAN, the SPIFFE id), 3.1 (leaf certificates), 4 (constraints
and usages), 5.2 (what proves an identity). An empty subject makes the SAN critical (RFC 5280, section 4.1.2.6).

A workload's certificate has its instance as the subject, which proves nothing: all instances of a service prove one id, and when
one is revoked, its connections are known by that, whichever of its certificates opened them. Nor does its second name prove
anything: a DNS name by which figures of calls say who called (model/peer.py). Section 2 allows other names beside the id.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tulle.identity.ca import Ca
from tulle.model.spiffe import TRUST_DOMAIN

# Machines whose clocks are a few minutes behind must accept a certificate that was issued just now.
BACK_DATED = timedelta(minutes=5)

_DOMAIN_PREFIX = f"spiffe://{TRUST_DOMAIN}/"
_EXTENDED_KEY_USAGE = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])


class NotAnSvid(Exception):
    """A certificate proves no SPIFFE id of this mesh."""


def sign_leaf(
    key: ec.EllipticCurvePublicKey,
    spiffe_id: str,
    not_before: datetime,
    not_after: datetime,
    issuer: Ca,
    instance: str = "",
    peer: str = "",
) -> x509.Certificate:
    """The certificate by which the holder of `key` proves `spiffe_id`, as TLS client and as server.

    instance: its subject. peer: what the workload is called in figures; it is left out where it can be no name, or where the
    issuer's constraints are about such names, so that nobody who verifies takes offence.
    """
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(spiffe_id)]
    if _is_dns_name(peer) and issuer.leaves_dns_names_alone:
        names.append(x509.DNSName(peer))
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, instance)] if instance else []
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(issuer.certificate.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectAlternativeName(names), critical=not subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(digital_signature=True), critical=True)
        .add_extension(_EXTENDED_KEY_USAGE, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(issuer.key_identifier, critical=False)
        .sign(issuer.key, hashes.SHA256())
    )


def _is_dns_name(text: str) -> bool:
    """By its lengths (RFC 1035, section 2.3.4), which some verifiers look at."""
    return bool(text) and len(text) <= 253 and all(0 < len(label) <= 63 for label in text.split("."))


def subject_of(instance: str) -> str:
    """As Envoy writes the subject of an instance's certificates (RFC 2253)."""
    return f"CN={instance}"


def proved_id(pem: bytes) -> str:
    """The SPIFFE id in a peer's certificate, whose chain TLS has verified already. Raises NotAnSvid."""
    try:
        extensions = x509.load_pem_x509_certificate(pem).extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise NotAnSvid(f"the certificate can't be read as an X.509 SVID: {error}") from error
    ids = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(ids) != 1:
        raise NotAnSvid(f"the certificate has {len(ids)} URI names; an X.509 SVID has exactly one")
    if constraints.ca or usage.key_cert_sign or usage.crl_sign:
        raise NotAnSvid(f"{ids[0]} is the certificate of an authority; only a leaf proves an identity")
    if not ids[0].removeprefix(_DOMAIN_PREFIX) or not ids[0].startswith(_DOMAIN_PREFIX):
        raise NotAnSvid(f"{ids[0]} is no identity in the trust domain {TRUST_DOMAIN}")
    return ids[0]


def key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    """A key usage with nothing but what is named."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
