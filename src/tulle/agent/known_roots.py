"""A control plane on another machine, which is known by the fingerprint of its root certificate and by its own SPIFFE id.

What the machine itself trusts plays no part, nor does the address. Agents (remote.py) and commands (cli/over_tls.py) know it so.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Collection, Mapping
from typing import Any

from tulle.model.spiffe import CONTROL_PLANE_ID

_END = "-----END CERTIFICATE-----"


def to_anybody() -> ssl.SSLContext:
    """For a connection to whoever answers: it is to be told nothing, and what comes is compared with the fingerprint."""
    context = _context()
    context.verify_mode = ssl.CERT_NONE
    return context


def to_one_of(roots: str) -> ssl.SSLContext:
    """For connections to who proves to be of one of these roots, PEM."""
    context = _context()
    context.load_verify_locations(cadata=roots)
    return context


def is_control_plane(certificate: Mapping[str, Any]) -> bool:
    """Whether a verified certificate, as `ssl` decodes it, is the control plane's own (X.509 SVID, section 5.2)."""
    return certificate.get("subjectAltName") == (("URI", CONTROL_PLANE_ID),)


def known_roots(answer: object, fingerprints: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """Those that are meant, PEM, of what somebody answers at /v1/trust; "" if none is. And the fingerprints of all."""
    bundle = answer.get("bundle") if isinstance(answer, dict) else None
    parts = bundle.split(_END)[:-1] if isinstance(bundle, str) else []
    found = {_fingerprint(pem): pem for pem in (f"{part.strip()}\n{_END}\n" for part in parts)}
    found.pop("", None)
    return "".join(pem for each, pem in found.items() if each in fingerprints), tuple(found)


def _fingerprint(pem: str) -> str:
    """SHA-256 of a certificate (DER), in hex; "" if it is none."""
    try:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    except ValueError:
        return ""


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # it is known by its SPIFFE id, wherever it is
    return context
