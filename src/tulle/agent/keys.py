"""Makes the private keys of one agent and the signing requests for them; a process of its own, for a moment.

`cryptography` would cost the agent 15 MB for as long as it lives. Run as `python -m tulle.agent.keys NAMESPACE
ACCOUNT PROXY`; the answer is JSON on stdout, which must be a pipe: {"identity": {"key": PEM, "csr": PEM}, "proxy":
{...}, "proof": {"key": base64, "signature": base64}}. A request holds the SPIFFE id as its only subject alternative name
(X509-SVID, section 2), and no subject. What is on stdin is the proxy's key so far, PEM, which signs the proof; where there is
nothing, the new one does.
"""

from __future__ import annotations

import base64
import json
import sys

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from tulle.model.possession import statement
from tulle.model.spiffe import proxy_id, workload_id


def main(namespace: str, service_account: str, proxy: str) -> None:
    """Prints both pairs, and the proof."""
    json.dump(made(namespace, service_account, proxy, sys.stdin.read()), sys.stdout)


def made(namespace: str, service_account: str, proxy: str, current: str = "") -> dict[str, dict[str, str]]:
    """Both pairs, and the proof. current: the proxy's key so far; "" if it has none."""
    ids = {"identity": workload_id(namespace, service_account), "proxy": proxy_id(proxy)}
    pairs = {name: _pair(spiffe_id) for name, spiffe_id in ids.items()}
    text = statement(proxy, pairs["identity"]["csr"], pairs["proxy"]["csr"])
    return {**pairs, "proof": _proof(current or pairs["proxy"]["key"], text)}


def _proof(key_pem: str, text: bytes) -> dict[str, str]:
    key = load_pem_private_key(key_pem.encode(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    signature = key.sign(text, ec.ECDSA(SHA256()))
    return {"key": base64.b64encode(public).decode(), "signature": base64.b64encode(signature).decode()}


def _pair(spiffe_id: str) -> dict[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(spiffe_id)])
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=True)
    return {
        "key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "csr": request.sign(key, SHA256()).public_bytes(Encoding.PEM).decode(),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
