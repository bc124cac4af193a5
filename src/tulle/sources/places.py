"""Where each value of a document stands, as a tree beside the value: small, and plain JSON, so that it can be sent along.

A place is a line, or `[line, places]` with the places of what is in it: a mapping's by name, a list's in order. The line
of a field is that of its name. What comes from a peer may have any form; a place that can't be told is just not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Place = Any  # int | [int, dict[str, Place]] | [int, list[Place]]
# The way to a value: () of the document, else (the way to what holds it, its name or index). A text is made of it only
# for a message: texts of all ways are many times as long as a file whose names are.
Path = tuple[Any, ...]

_LONGEST_NAME = 200  # in a message
_LONGEST_PATH = 2000  # that is looked for
_SIMPLE = re.compile(r"[a-z][a-zA-Z0-9]*")
_CAPITAL = re.compile(r"[A-Z]")


def rendered(path: Path) -> str:
    """`spec.http[0].route`; "" for the document."""
    text = ""
    while path:
        path, step = path
        if isinstance(step, int):
            text = f"[{step}]{'.' if text and text[0] != '[' else ''}{text}"
        else:
            name = step if len(step) <= _LONGEST_NAME else f"{step[:_LONGEST_NAME]}…"
            text = f"{name}{'.' if text and not text.startswith('[') else ''}{text}"
    return text


class Lines(Mapping[str, int]):
    """The lines of a document's fields by path, `spec.http[0].route[1]`; "" is the document."""

    __slots__ = ("_place",)

    def __init__(self, place: Place) -> None:
        self._place = place

    def __getitem__(self, path: str) -> int:
        place, rest = _found(self._place, path)
        if rest or not line_of(place):
            raise KeyError(path)
        return line_of(place)

    def __iter__(self) -> Iterator[str]:
        yield from (path for path, _ in walk(self._place) if path in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def nearest(self, path: str) -> int:
        """The line of a field, or of the nearest one around it that is there. 0 if it is not known."""
        return line_of(_found(self._place, path)[0])


def line_of(place: Place) -> int:
    """0 if it is not known."""
    if isinstance(place, list) and place:
        place = place[0]
    return place if type(place) is int and place > 0 else 0


def inside(place: Place, key: str | int) -> Place:
    """The place of one field or item; None if it is not known."""
    children = place[1] if isinstance(place, list) and len(place) == 2 else None
    if isinstance(key, str):
        return children.get(key) if isinstance(children, dict) else None
    return children[key] if isinstance(children, list) and 0 <= key < len(children) else None


def walk(place: Place, path: str = "") -> Iterator[tuple[str, int]]:
    """All paths with their lines, outer ones first."""
    yield path, line_of(place)
    children = place[1] if isinstance(place, list) and len(place) == 2 else None
    if isinstance(children, dict):
        for name, child in children.items():
            yield from walk(child, f"{path}.{name}" if path else name)
    elif isinstance(children, list):
        for index, child in enumerate(children):
            yield from walk(child, f"{path}[{index}]")


def _found(place: Place, path: str) -> tuple[Place, str]:
    """The innermost place on a way, and what is left of the way: nothing, if it was found.

    Names may have dots and brackets in them: of those that fit, the longest is meant.
    """
    while path and len(path) < _LONGEST_PATH:
        if path[0] == "[":
            index, _, rest = path[1:].partition("]")
            below = inside(place, int(index)) if index.isdecimal() and len(index) < 10 else None
        else:
            name = _name(place, path)
            below, rest = inside(place, name), path[len(name) :]
            if below is None and (simple := _SIMPLE.match(path)):
                # A field may be written by its original name, see schema.py.
                original = _CAPITAL.sub(lambda found: f"_{found[0].lower()}", simple[0])
                below, rest = inside(place, original), path[simple.end() :]
        if below is None:
            break
        place, path = below, rest.removeprefix(".")
    return place, path


def _name(place: Place, path: str) -> str:
    end = len(path)
    while end > 0 and inside(place, path[:end]) is None:
        end = max(path.rfind(".", 0, end), path.rfind("[", 0, end), 0)
    return path[:end] or path
