"""What an agent signs when it enrols or renews: that whoever sends these certificate requests holds that proxy's key.

Both sides make the text from the request, so that it is never sent. Standard library only: the agent reads this file.
"""

from __future__ import annotations

import hashlib

_CONTEXT = b"tulle enrolment 1"  # no signature over it is good for anything else


def statement(proxy: str, csr: str, proxy_csr: str) -> bytes:
    """The bytes to sign (ECDSA with SHA-256). csr, proxy_csr: the requests in PEM, as they are sent."""
    digests = (hashlib.sha256(each.encode("utf-8", "replace")).digest() for each in (proxy, csr, proxy_csr))
    return b"\0".join((_CONTEXT, *digests))
