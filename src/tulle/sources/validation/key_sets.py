"""JSON Web Key Sets that stand in a document.

Source: Istio, pkg/config/validation (validateJwtRule), which asks a library whether it can parse them: a key's parts must be
there and in base64. What Envoy can use of them is `model.key_sets`.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tulle.model.key_sets import key_set
from tulle.sources.at import At

# By `kty`, what a key needs (RFC 7518, section 6; RFC 8037, section 2), and the curves that there are.
_NEEDED = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "oct": ("k",)}
_CURVES = {"EC": ("P-256", "P-384", "P-521"), "OKP": ("Ed25519", "X25519", "Ed448", "X448")}
_BASE64 = re.compile(r"[-_+/A-Za-z0-9]+={0,2}")


def check(text: str, at: At) -> None:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        at.error(f'is no JSON: {error}; write a set of keys, `{{"keys": [...]}}`')
        return
    keys = value.get("keys", [value]) if isinstance(value, dict) else None
    if not isinstance(keys, list):
        at.error('is no set of keys: write `{"keys": [...]}`')
        return
    for index, key in enumerate(keys):
        if problem := _problem(key, index):
            at.error(problem)
            return
    try:
        left_out = key_set(text).left_out
    except ValueError as error:
        at.unsupported(str(error))
        return
    if left_out:
        at.warning(f"{left_out[0]}: Envoy leaves it out")
    if any("d" in key or key["kty"] == "oct" for key in keys):
        at.warning("has a secret key, so whoever reads the document can make tokens: write public keys alone")


def _problem(key: Any, index: int) -> str | None:
    kind = key.get("kty") if isinstance(key, dict) else None
    if not isinstance(kind, str) or kind not in _NEEDED:
        return f"key {index} is none: its `kty` must be one of {', '.join(_NEEDED)}"
    for name in _NEEDED[kind]:
        text = key.get(name)
        if not isinstance(text, str) or not text:
            return f"key {index} is of kind {kind}, and lacks `{name}`"
        if name != "crv" and not _BASE64.fullmatch(text):
            return f"key {index}: `{name}` must be in base64url"
    if kind in _CURVES and key["crv"] not in _CURVES[kind]:
        return f"key {index}: `crv` must be one of {', '.join(_CURVES[kind])}"
    return None
