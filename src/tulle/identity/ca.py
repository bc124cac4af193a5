"""A certificate that may sign others, its key, and what leads from it to its root: the mesh's own, or brought along.

Source: RFC 5280, sections 4.2.1.3 (key usage), 4.2.1.9 (path length) and 4.2.1.10 (name constraints); X509-SVID standard,
section 4.1. New ones are made by root.py and intermediate.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tulle.model.spiffe import TRUST_DOMAIN

CaKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_MIN_RSA_BITS = 2048
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_CANT_BE_READ = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion)


class CaUnusable(Exception):
    """These certificates and this key make no authority of this mesh. The message says why."""


@dataclass(frozen=True)
class Ca:
    """chain: the certificates above `certificate`, the root last; empty if it is the root itself."""

    key: CaKey
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def root(self) -> x509.Certificate:
        return self.path[-1]

    @property
    def path(self) -> tuple[x509.Certificate, ...]:
        return (self.certificate, *self.chain)

    @cached_property
    def id(self) -> str:
        return id_of(self.certificate)

    @cached_property
    def root_id(self) -> str:
        return id_of(self.root)

    @cached_property
    def above_leaf_pem(self) -> str:
        """What a leaf's holder shows after the leaf: all but the root, which who verifies must have already."""
        return pem_of(self.path[:-1])

    @cached_property
    def ends(self) -> datetime:
        """When the first certificate of its path does; a chain is good no longer than that."""
        return min(certificate.not_valid_after_utc for certificate in self.path)

    @property
    def has_room(self) -> bool:
        """Whether it may sign another authority, by all path lengths above."""
        lengths = [_constraints(certificate).path_length for certificate in self.path]
        return all(length is None or length > depth for depth, length in enumerate(lengths))

    @property
    def signs_crls(self) -> bool:
        """By its key usage (RFC 5280, section 6.3.3, f)."""
        usage = _usage(self.certificate)
        return usage is None or usage.crl_sign

    @cached_property
    def leaves_dns_names_alone(self) -> bool:
        """Whether no name constraint above is about names of DNS, and could so forbid one in a leaf."""
        limits = [found for certificate in self.path if (found := _name_constraints(certificate)) is not None]
        subtrees = [
            name for one in limits for name in (*(one.permitted_subtrees or ()), *(one.excluded_subtrees or ()))
        ]
        return not any(isinstance(name, x509.DNSName) for name in subtrees)

    @cached_property
    def key_identifier(self) -> x509.AuthorityKeyIdentifier:
        """By which what it signs names it."""
        try:
            own = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        except x509.ExtensionNotFound:
            return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def id_of(certificate: x509.Certificate) -> str:
    """Names a certificate in files and in what people see: the first half of its SHA-256 fingerprint, in hex."""
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()[:32]


def pem_of(certificates: Iterable[x509.Certificate]) -> str:
    return "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in certificates)


def encoded(ca: Ca) -> bytes:
    """Its key and its path, the root last, in PEM."""
    return key_pem(ca.key) + pem_of(ca.path).encode()


def decoded(content: bytes) -> Ca:
    """The inverse of `encoded`. Raises CaUnusable."""
    key, certificates = read_key(content), read_certificates(content)
    return Ca(key, certificates[0], tuple(certificates[1:]))


def key_pem(key: CaKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def read_key(content: bytes) -> CaKey:
    """Raises CaUnusable."""
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except TypeError as error:
        raise CaUnusable("its key is encrypted: decrypt it first (openssl pkey -in FILE -out NEW)") from error
    except _CANT_BE_READ as error:
        raise CaUnusable(f"its key can't be read as PEM: {error}") from error
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, _CURVES):
        return key
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _MIN_RSA_BITS:
        return key
    raise CaUnusable(f"its key must be of the curve P-256, P-384 or P-521, or RSA of {_MIN_RSA_BITS} bits or more")


def read_certificates(content: bytes) -> list[x509.Certificate]:
    """At least one. Raises CaUnusable."""
    try:
        return x509.load_pem_x509_certificates(content)
    except _CANT_BE_READ as error:
        raise CaUnusable(f"its certificate can't be read as PEM: {error}") from error


def check(ca: Ca, now: datetime) -> None:
    """Whether leaves that it signs prove identities of this mesh to who trusts its root. Raises CaUnusable."""
    if ca.key.public_key() != ca.certificate.public_key():
        raise CaUnusable("the key is not the certificate's")
    for depth, certificate in enumerate(ca.path):
        _check_authority(certificate, depth)
    for below, above in zip(ca.path, [*ca.chain, ca.root], strict=True):
        if not _is_issued_by(below, above):
            raise CaUnusable(
                f"{_named(below)} is not signed by {_named(above)}"
                if below is not above
                else f"{_named(below)} is no root: it is not signed by itself"
            )
    for certificate in ca.path:
        if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
            raise CaUnusable(
                f"{_named(certificate)} is good from {certificate.not_valid_before_utc:%Y-%m-%d} to "
                f"{certificate.not_valid_after_utc:%Y-%m-%d}, and this machine's clock says {now:%Y-%m-%d}"
            )


def _check_authority(certificate: x509.Certificate, depth: int) -> None:
    """depth: how many authorities are below it."""
    name = _named(certificate)
    try:
        constraints, usage = _constraints(certificate), _usage(certificate)
        names, limits = _names(certificate), _name_constraints(certificate)
    except _CANT_BE_READ as error:
        raise CaUnusable(f"{name} has extensions that can't be read: {error}") from error
    if not constraints.ca or (usage is not None and not usage.key_cert_sign):
        raise CaUnusable(f"{name} is no certificate of an authority: it may not sign others")
    if constraints.path_length is not None and constraints.path_length < depth:
        raise CaUnusable(f"{name} allows {constraints.path_length} authorities below it, and {depth} are there")
    ids = [one for one in names if one.startswith("spiffe://")]
    if any(one != f"spiffe://{TRUST_DOMAIN}" for one in ids):
        raise CaUnusable(f"{name} is of {', '.join(ids)}, and this mesh's trust domain is {TRUST_DOMAIN}")
    if limits is not None and not _allows_domain(limits):
        raise CaUnusable(f"{name} has name constraints that exclude the trust domain {TRUST_DOMAIN}")


def _allows_domain(limits: x509.NameConstraints) -> bool:
    def uris(subtrees: Sequence[x509.GeneralName] | None) -> list[str]:
        return [name.value for name in subtrees or () if isinstance(name, x509.UniformResourceIdentifier)]

    def covers(subtree: str) -> bool:
        return TRUST_DOMAIN.endswith(subtree) if subtree.startswith(".") else subtree == TRUST_DOMAIN

    permitted = uris(limits.permitted_subtrees)
    return (not permitted or any(map(covers, permitted))) and not any(map(covers, uris(limits.excluded_subtrees)))


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _constraints(certificate: x509.Certificate) -> x509.BasicConstraints:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return x509.BasicConstraints(ca=False, path_length=None)


def _usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def _name_constraints(certificate: x509.Certificate) -> x509.NameConstraints | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None


def _named(certificate: x509.Certificate) -> str:
    return f"the certificate {certificate.subject.rfc4514_string() or 'without a subject'!s}"
