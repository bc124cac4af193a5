"""What was given to whom: per proxy its workload, and the certificates of both that have not ended yet.

    identity/enrolled/<proxy>    an Enrolled as JSON

It outlives the control plane: by it a renewal is known to be of the same workload, a registration to be its own, and a
revocation finds the certificates. It goes when its last certificate has ended.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from tulle.store.contract import Delete

PREFIX = "identity/enrolled/"


class Issued(Struct, frozen=True):
    """serial: in hex, lower case. digest: SHA-256 of the certificate's DER, in hex. not_after: Unix time in seconds."""

    serial: str
    digest: str
    spiffe_id: str
    not_after: int


class Enrolled(Struct, frozen=True):
    """source: how it was attested first, as Grant's. certificates: the oldest first.

    proxy_key: SHA-256 of the public key (DER, SubjectPublicKeyInfo) in the proxy's newest certificate, in hex: the holder of its
    private key may renew. earlier_key: the one by which that was asked for, which may renew until the newer one has: the answer
    with the newer certificate may have been lost.
    """

    proxy: str
    namespace: str
    service: str
    service_account: str
    source: str
    certificates: tuple[Issued, ...] = ()
    proxy_key: str = ""
    earlier_key: str = ""


def key(proxy: str) -> str:
    return f"{PREFIX}{proxy}"


def deletion(proxy: str) -> Delete:
    return Delete(key(proxy))


def encode(enrolled: Enrolled) -> bytes:
    return msgspec.json.encode(enrolled)


def decode(value: bytes) -> Enrolled:
    """Raises ValueError."""
    try:
        return _decoder.decode(value)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error


_decoder = msgspec.json.Decoder(Enrolled)
