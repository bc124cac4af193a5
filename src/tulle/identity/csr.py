"""What the authority takes from a certificate request: the public key, once its holder has proved to hold it.

Names in a request grant nothing. A request that asks for another id than the one to be signed is refused all the same,
as its sender would wait for a certificate that never comes.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

_MAX_SIZE = 16 * 1024
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_NO_REQUEST = (
    ValueError,
    TypeError,
    InvalidSignature,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
)


class CsrRefused(Exception):
    """The certificate request can't be signed. The message says why."""


def requested_key(csr: str, spiffe_id: str) -> ec.EllipticCurvePublicKey:
    """The public key of a PEM request for `spiffe_id`. Raises CsrRefused."""
    if len(csr) > _MAX_SIZE:
        raise CsrRefused(f"the certificate request is longer than {_MAX_SIZE} bytes")
    try:
        request = x509.load_pem_x509_csr(csr.encode("utf-8", "replace"))
        key, signed, ids = request.public_key(), request.is_signature_valid, _requested_names(request)
    except _NO_REQUEST as error:
        raise CsrRefused("the certificate request is no PKCS #10 request in PEM") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, _CURVES):
        raise CsrRefused("the certificate request's key must be of the curve P-256, P-384 or P-521")
    if not signed:
        raise CsrRefused("the certificate request is not signed by its own key")
    if ids not in ([], [spiffe_id]):
        raise CsrRefused(f"the certificate request asks for {', '.join(ids)}, and only {spiffe_id} can be signed")
    return key


def _requested_names(request: x509.CertificateSigningRequest) -> list[str]:
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in names]
