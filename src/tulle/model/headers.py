"""Headers as somebody who looks at a request may see them: few, short, and of what is or may be a secret its length alone.

By names and by values, rather too much than too little. Never the path of the request: its query is told to nobody.
Agents do it, so that nothing secret leaves their machine; the control plane does it again, as an agent may be another's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MOST = 60  # of one side of a request
MOST_BYTES = 8192
LONGEST_NAME, LONGEST_VALUE = 100, 500
_LOOKED_AT = 2000  # of a value, which Envoy takes up to 60 KiB of
MORE = "(more)"  # in place of what is left out; no header can have that name
_LEFT_OUT = re.compile(r"[0-9]{1,6} headers are left out")
_REDACTED = re.compile(r"<redacted, [0-9]{1,6} bytes>")
_CUT = re.compile(r" <cut, [0-9]{1,6} bytes in all>\Z")

_NAMES = re.compile(
    r"auth|cookie|token|secret|passw|pwd|credential|session|jwt|saml|bearer|signature|[cx]srf|assertion|apikey|proof|ticket"
    r"|(?<![^-_.])(?:keys?|sid|otp|pin|sig|hmac|dpop|pass)(?![^-_.])"
)
_OPEN = {"sec-websocket-key", "idempotency-key", "surrogate-key"}  # whoever knows them can do nothing with them
_OPEN_BEGINNING = "access-control-"  # names and rules, never credentials
_SECRETS = re.compile(
    r"\b(?:bearer|basic|digest|negotiate|ntlm)\s+\S{4}"
    r"|eyJ[\w-]{8}"  # JSON in base64: a JWT, its payload, a token of tulle's
    r"|-----BEGIN "
    r"|\b(?:gh[a-z]|github_pat|glpat|xox[a-z]|sk|rk|pk|npm|pypi|hf|dop_v1)[_-]\w[\w-]{14}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}"
    r"|\bAIza[\w-]{30}",
    re.IGNORECASE | re.ASCII,
)
_ADDRESS = re.compile(r"://|^\s*<?/")
_USER_IN_ADDRESS = re.compile(r"://[^/?#@\s]*@")
_REST_OF_ADDRESS = re.compile(r"[?#][^\s,;<>\"']+")


def shown(headers: Any) -> dict[str, str]:
    """headers: by name, as Envoy tells them, several of one name as one; what is no mapping has none. In printable ASCII."""
    found = headers if isinstance(headers, Mapping) else {}
    told: dict[str, str] = {}
    names = sorted(str(name) for name in found if not str(name).startswith(":"))
    left = MOST_BYTES
    for number, name in enumerate(names):
        written, value = _printable(name[:LONGEST_NAME]), _value(name, str(found[name]))
        left -= len(written) + len(value)
        if number >= MOST or left < 0:
            told[MORE] = f"{len(names) - number} headers are left out"
            break
        told[written] = value
    return told


def shown_again(told: Mapping[str, str]) -> dict[str, str]:
    """What somebody says that he has shown; the same if he has."""
    again = shown({name: value for name, value in told.items() if name != MORE})
    if (more := told.get(MORE)) and _LEFT_OUT.fullmatch(more):
        again.setdefault(MORE, more)
    return again


def is_secret(name: str) -> bool:
    """Whether such a header is never shown, whatever it holds."""
    name = name.lower()
    if name in _OPEN or name.startswith(_OPEN_BEGINNING):
        return False
    return _NAMES.search(name) is not None


def _value(name: str, value: str) -> str:
    told = value[:_LOOKED_AT]
    if is_secret(name) or _SECRETS.search(told):
        return value if _REDACTED.fullmatch(value) else _redacted(value)
    if _ADDRESS.search(told):
        told = _USER_IN_ADDRESS.sub("://<redacted>@", told)
        told = _REST_OF_ADDRESS.sub(lambda rest: rest[0][0] + _redacted(rest[0][1:]), told)
    cut = f" <cut, {_bytes(value)} in all>" if len(told) > LONGEST_VALUE or len(value) > _LOOKED_AT else ""
    if found := _CUT.search(told):  # by whom it was shown before
        told, cut = told[: found.start()], found[0]
    return _printable(told[:LONGEST_VALUE]) + cut


def _redacted(value: str) -> str:
    return f"<redacted, {_bytes(value)}>"


def _bytes(value: str) -> str:
    return f"{len(value.encode(errors='replace'))} bytes"


def _printable(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)
