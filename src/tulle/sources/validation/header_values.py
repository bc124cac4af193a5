"""Values of headers. They may hold variables, which Envoy fills in: `%HOSTNAME%`, `%REQ(x-user)%`; `%%` is a percent sign.

Source: Envoy, "Custom request/response headers"; istio/istio, pkg/config/validation/header_value_validator.go, which
asks for the form alone. Which variables there are, `header_variables` knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, auto

from tulle.sources.at import At
from tulle.sources.validation.header_variables import unknown

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# Bytes, as Envoy takes in its configuration (api/envoy/config/core/v3/base.proto, HeaderValue); Istio does not look.
_LONGEST = 16 * 1024


class _In(Enum):
    """Where in a value a reader is. Variables' arguments are plain, `%REQ(x)%`, or a list of strings, `%META(["a", "b"])%`."""

    TEXT = auto()
    NAME = auto()
    ARGUMENTS = auto()
    BEFORE_STRING = auto()
    STRING = auto()
    ESCAPED = auto()
    AFTER_STRING = auto()
    AFTER_LIST = auto()
    AFTER_ARGUMENTS = auto()


# By state: where which character leads, and where all the others do; None if there may be no other.
_STEPS: Mapping[_In, tuple[Mapping[str, _In], _In | None]] = {
    _In.TEXT: ({"%": _In.NAME}, _In.TEXT),
    _In.NAME: ({"%": _In.TEXT, "(": _In.ARGUMENTS}, _In.NAME),
    _In.ARGUMENTS: ({"[": _In.BEFORE_STRING, " ": _In.ARGUMENTS}, _In.STRING),
    _In.BEFORE_STRING: ({'"': _In.STRING, " ": _In.BEFORE_STRING}, None),
    _In.STRING: ({"\\": _In.ESCAPED, ")": _In.AFTER_ARGUMENTS, '"': _In.AFTER_STRING}, _In.STRING),
    _In.ESCAPED: ({}, _In.STRING),
    _In.AFTER_STRING: ({",": _In.BEFORE_STRING, "]": _In.AFTER_LIST, " ": _In.AFTER_STRING}, None),
    _In.AFTER_LIST: ({")": _In.AFTER_ARGUMENTS, " ": _In.AFTER_LIST}, None),
    _In.AFTER_ARGUMENTS: ({"%": _In.TEXT, " ": _In.AFTER_ARGUMENTS}, None),
}


def check(value: str, at: At) -> None:
    if _CONTROL.search(value):
        at.error(f"{value!r} can't be a header's value: take the control characters out")
        return
    if (length := len(value.encode())) > _LONGEST:
        at.unsupported(f"is {length} bytes long, and Envoy takes up to {_LONGEST}: shorten it")
        return
    if not _is_whole(value):
        at.error(f"`{value}` has a `%` that begins no variable such as `%HOSTNAME%`: write `%%` for a percent sign")
    elif found := unknown(value):
        at.unsupported(f"`{found}` is no variable that Envoy fills in: use one such as `%HOSTNAME%` or `%REQ(x-user)%`")


def _is_whole(value: str) -> bool:
    state = _In.TEXT
    for character in value:
        special, other = _STEPS[state]
        following = special.get(character, other)
        if following is None:
            return False
        state = following
    return state is _In.TEXT
