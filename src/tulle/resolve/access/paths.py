"""The form into which a sidecar brings a request's path before any rule looks at it (MeshConfig, `pathNormalization`).

Source: Envoy, HttpConnectionManager `normalize_path`, `merge_slashes`, `path_with_escaped_slashes_action`; RFC 3986, section 6.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tulle.ir.types import Paths

_UNRESERVED = re.compile(r"%(2[DdEe]|3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa]|5[Ff]|7[Ee])")
_ESCAPED_SLASH = re.compile(r"%(2[Ff]|5[Cc])")
# What some programs (Tomcat's) would take away themselves.
_PARAMETER = re.compile(r"(?<=/)(\.\.?);[^/]*")
_TO_ESCAPE = re.compile(r'["<>^`{|}]')


def normalised(path: str, form: Paths) -> str | None:
    """What the program gets of a path with its query; None if the sidecar refuses it with 400.

    It refuses one that does not begin with `/`, a fragment, blanks, controls and what is not ASCII, and an escaped NUL.
    """
    if not path.startswith("/") or "#" in path or not all("!" <= character <= "~" for character in path):
        return None
    if form is Paths.AS_IT_IS:
        return path
    path, mark, query = path.partition("?")
    if "%00" in path:
        return None
    if form is Paths.DECODE_AND_MERGE_SLASHES:
        path = _ESCAPED_SLASH.sub(_character, path)
    path = _PARAMETER.sub(r"\1", path).replace("\\", "/")
    path = _UNRESERVED.sub(_character, path)
    path = _TO_ESCAPE.sub(lambda found: f"%{ord(found[0]):02X}", "/".join(_followed(path.split("/"))))
    if form is not Paths.BASE:
        path = _merged(path)
    return f"{path}{mark}{query}"


def without_query(path: str) -> str:
    """What rules compare."""
    return path.partition("?")[0]


def _merged(path: str) -> str:
    """As Envoy does it: nothing but slashes comes to two."""
    if "//" not in path:
        return path
    return f"/{'/'.join(filter(None, path.split('/')))}{'/' if path.endswith('/') else ''}"


def _character(found: re.Match[str]) -> str:
    return chr(int(found[1], 16))


def _followed(segments: Iterable[str]) -> list[str]:
    """Without `.` and `..`. The first segment is what is before the first slash, nothing."""
    first, *rest = segments
    kept: list[str] = []
    for segment in rest:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    is_folder = rest[-1] in (".", "..")
    return [first, *kept, *([""] if is_folder else [])]
