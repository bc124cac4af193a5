"""How key sets lie in the store, so that a control plane that starts has them at once.

allocated/key-sets/<SHA-256 of the URI>     a KeySet, while a resource names the URI
"""

from __future__ import annotations

import hashlib

import msgspec
from msgspec import Struct

ROOT = "allocated/key-sets/"


class KeySet(Struct, frozen=True):
    """keys: a JSON Web Key Set (RFC 7517, section 5). fetched: when it was found to be so, Unix time in seconds."""

    uri: str
    keys: str
    fetched: float


_decoder = msgspec.json.Decoder(KeySet)


def key_of(uri: str) -> str:
    return ROOT + hashlib.sha256(uri.encode()).hexdigest()


def encode(record: KeySet) -> bytes:
    return msgspec.json.encode(record)


def decode(key: str, value: bytes) -> KeySet:
    """Raises ValueError, with the reason, if it is no record of that key."""
    try:
        record = _decoder.decode(value)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error
    if key_of(record.uri) != key:
        raise ValueError("it is the record of another key")
    return record
