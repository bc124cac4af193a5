"""JSON documents and where their values stand. Exact: what is no JSON may still be YAML; `json_fault` is for what is neither.

Python's decoder makes the values, a scan of the pieces the places; both see the same text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from tulle.sources.limits import DEEPEST, LONGEST_NUMBER, TOO_DEEP, Noted, Refused
from tulle.sources.places import Path, Place, line_of
from tulle.sources.scalars import integer

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+|\n')
_BLANK = re.compile(r"[ \t\r\n]*")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def json_values(text: str) -> Iterator[tuple[Any, Place, Noted]] | None:
    """The values of a text, one after another, with their places and what is wrong. None if it is no JSON.

    Raises Refused at once or when a value is asked for.
    """
    values = []
    start = _end_of_blank(text, 0)
    try:
        while start < len(text):
            value, end = _DECODER.raw_decode(text, start)
            values.append(value)
            start = _end_of_blank(text, end)
    except (ValueError, RecursionError):
        return None
    if found := _SURROGATE.search(text):
        try:
            json.dumps(values, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            line = text.count("\n", 0, found.start()) + 1
            raise Refused(line, "a text has half of a surrogate pair, which is no character") from None
    scan = _Scan(text)
    return ((value, *scan.next()) for value in values)


def json_fault(text: str) -> Refused | None:
    """Where and why a text is no JSON; None if that is not about its form."""
    start = _end_of_blank(text, 0)
    try:
        while start < len(text):
            start = _end_of_blank(text, _DECODER.raw_decode(text, start)[1])
    except json.JSONDecodeError as error:
        # Where a text ends too early, that is below its last line.
        last = text.rstrip("\n").count("\n") + 1
        place = f"column {error.colno}" if error.lineno <= last else "its end"
        reason = error.msg.removesuffix(" at").removesuffix(" starting")
        return Refused(min(error.lineno, last), f"this is no JSON: {reason[0].lower()}{reason[1:]}, at {place}")
    except (ValueError, RecursionError):
        pass
    return None


class _Scan:
    """Reads the pieces of a text that is known to be JSON."""

    def __init__(self, text: str) -> None:
        self._line = 1
        self._pieces = self._all(text)
        self._noted = Noted()

    def next(self) -> tuple[Place, Noted]:
        self._noted = Noted()
        piece = next(self._pieces)
        return self._value(piece, self._line, (), 0), self._noted

    def _all(self, text: str) -> Iterator[str]:
        for piece in _TOKEN.finditer(text):
            if piece[0] == "\n":
                self._line += 1
            else:
                yield piece[0]

    def _value(self, piece: str, line: int, path: Path, depth: int) -> Place:
        if piece not in ("{", "["):
            return line
        if depth >= DEEPEST:
            raise Refused(line, TOO_DEEP)
        return [line, self._fields(path, depth + 1) if piece == "{" else self._items(path, depth + 1)]

    def _fields(self, path: Path, depth: int) -> dict[str, Place]:
        places: dict[str, Place] = {}
        while (piece := next(self._pieces)) != "}":
            if piece == ",":
                continue
            name, line = json.loads(piece), self._line
            if name in places:
                self._noted.note(line, (path, name), f"it is given twice, first in line {line_of(places[name])}")
            next(self._pieces)  # the colon
            places[name] = self._value(next(self._pieces), line, (path, name), depth)
        return places

    def _items(self, path: Path, depth: int) -> list[Place]:
        places: list[Place] = []
        while (piece := next(self._pieces)) != "]":
            if piece != ",":
                places.append(self._value(piece, self._line, (path, len(places)), depth))
        return places


def _end_of_blank(text: str, start: int) -> int:
    found = _BLANK.match(text, start)
    return found.end() if found else start


def _integer(digits: str) -> int | float:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError("too many digits")
    return integer(int(digits))


def _float(digits: str) -> float:
    if len(digits) > LONGEST_NUMBER or not math.isfinite(number := float(digits)):
        raise ValueError("no number")
    return number


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(
    parse_int=_integer,
    parse_float=_float,
    parse_constant=_no_constant,
)
