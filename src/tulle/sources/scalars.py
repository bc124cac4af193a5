"""What a plain word of YAML means to Kubernetes, which reads Istio's documents: YAML 1.1, with a few changes.

`on`, `yes` and `y` are true; `0755` is octal; a date is a text. Source: sigs.k8s.io/yaml, goyaml.v2/resolve.go.
"""

from __future__ import annotations

import math
import re

from tulle.sources.limits import LONGEST_NUMBER

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE", "y", "Y", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "n", "N", "no", "No", "NO", "off", "Off", "OFF"), False),
}
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INTEGERS = (
    (re.compile(r"[-+]?0[xX]([0-9a-fA-F]+)"), 16),
    (re.compile(r"[-+]?0[bB]([01]+)"), 2),
    (re.compile(r"[-+]?0[oO]?([0-7]+)"), 8),
    (re.compile(r"[-+]?(0|[1-9][0-9]*)"), 10),
)
TAGS = {f"tag:yaml.org,2002:{name}": name for name in ("str", "bool", "int", "float", "null", "map", "seq")}


class BadScalar(ValueError):
    """It can't be what it says that it is."""


def plain(text: str) -> object:
    """The value of a plain word: None, a boolean, a number or the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if not text or text[0] not in "+-.0123456789":
        return text
    if len(text) > LONGEST_NUMBER:
        return text if not _FLOAT.fullmatch(text) else _refuse("has too many digits")
    if _NOT_FINITE.fullmatch(text):
        return _refuse(f"can't be {text}: write a number that has an end")
    digits = text.replace("_", "") if text[0] != "." else text
    for form, base in _INTEGERS:
        if found := form.fullmatch(digits):
            number = int(found[1], base)
            return integer(-number if digits[0] == "-" else number)
    if _FLOAT.fullmatch(digits):
        inexact = float(digits)
        return inexact if math.isfinite(inexact) else _refuse("is greater than any number")
    return text


def tagged(text: str, tag: str) -> object:
    """The value of a scalar that carries a tag, in full."""
    kind = TAGS.get(tag)
    if kind == "str" or tag == "!":
        return text
    value = plain(text)
    if kind == "float" and type(value) is int:
        return float(value)
    wanted = {"bool": bool, "int": int, "float": float, "null": type(None)}.get(kind or "")
    if wanted is None:
        return _refuse(f"has the tag {tag}, which means nothing here: leave it out")
    return value if type(value) is wanted else _refuse(f"is tagged {kind}, but is none")


def integer(number: int) -> int | float:
    """Beyond 64 bits a number is no whole one, as JSON is read in Go."""
    return number if -(2**63) <= number < 2**64 else float(number)


def key(value: object) -> str | None:
    """What Kubernetes makes of a key that is no text; None if it takes none such."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            return None


def _refuse(message: str) -> object:
    raise BadScalar(message)
