"""Whether an enrolment's sender holds a proxy's private key: its signature over the certificate requests.

Without it the data folder's secret, or a join token, would be enough to renew as a proxy that is alive.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from msgspec import Struct

from tulle.model.possession import statement

_MAX_SIZE = 1024
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


class Proof(Struct, frozen=True):
    """key: the public key as DER (SubjectPublicKeyInfo). signature: ECDSA with SHA-256, as DER. Both in base64."""

    key: str = ""
    signature: str = ""


class NotProved(Exception):
    """The message is for the agent's user."""


def proved_key(proof: Proof, proxy: str, csr: str, proxy_csr: str) -> str:
    """The digest of the key whose holder asks for this; "" if none is shown. Raises NotProved."""
    if not proof.key and not proof.signature:
        return ""
    if max(len(proof.key), len(proof.signature)) > _MAX_SIZE:
        raise NotProved(f"the proof of possession is longer than {_MAX_SIZE} characters")
    try:
        key = load_der_public_key(base64.b64decode(proof.key, validate=True))
        signature = base64.b64decode(proof.signature, validate=True)
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, _CURVES):
            raise NotProved("the proof's key must be of the curve P-256, P-384 or P-521")
        key.verify(signature, statement(proxy, csr, proxy_csr), ec.ECDSA(SHA256()))
    except (ValueError, TypeError, binascii.Error, InvalidSignature, UnsupportedAlgorithm) as error:
        raise NotProved("the proof of possession is no signature of these requests by its key") from error
    return digest_of_key(key)


def digest_of_key(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of the public key (DER, SubjectPublicKeyInfo), in hex."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
