"""What the agent has put where Envoy reads it (agent/credentials.py), as the Workload API gives it out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from msgspec import Struct

from tulle.model.spiffe import TRUST_DOMAIN

FOLDER = "sds"
_IDENTITY, _BUNDLE = "identity.json", "bundle.json"


class Credentials(Struct, frozen=True):
    """An X.509-SVID with its key, and whom to trust; all DER. chain, bundle: certificates one after another.

    crls: of the trust domain's authorities.
    """

    spiffe_id: str
    chain: bytes
    key: bytes
    bundle: bytes
    crls: tuple[bytes, ...]


def read(folder: Path) -> Credentials:
    """From a proxy's folder. Raises OSError or ValueError while they are not there, whole."""
    pair = _secret(folder / FOLDER / _IDENTITY)["tls_certificate"]
    trusted = _secret(folder / FOLDER / _BUNDLE)["validation_context"]
    chain = x509.load_pem_x509_certificates(_text(pair["certificate_chain"]))
    key = load_pem_private_key(_text(pair["private_key"]), password=None)
    if key.public_key() != chain[0].public_key():
        raise ValueError("the key is not yet, or no longer, the certificate's")
    names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    roots = x509.load_pem_x509_certificates(_text(trusted["trusted_ca"]))
    return Credentials(
        spiffe_id=names.get_values_for_type(x509.UniformResourceIdentifier)[0],
        chain=_joined(chain),
        key=key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        bundle=_joined(roots),
        crls=tuple(crl.public_bytes(Encoding.DER) for crl in _crls(trusted)),
    )


def trust_domain() -> str:
    """As the maps of bundles name it."""
    return f"spiffe://{TRUST_DOMAIN}"


def _secret(file: Path) -> Any:
    return json.loads(file.read_text())["resources"][0]


def _text(source: dict[str, str]) -> bytes:
    return source["inline_string"].encode()


def _joined(certificates: list[x509.Certificate]) -> bytes:
    return b"".join(each.public_bytes(Encoding.DER) for each in certificates)


def _crls(trusted: dict[str, Any]) -> list[x509.CertificateRevocationList]:
    marker = "-----BEGIN X509 CRL-----"
    text = trusted.get("crl", {}).get("inline_string", "")
    return [x509.load_pem_x509_crl((marker + part).encode()) for part in text.split(marker)[1:]]
