"""YAML documents and where their values stand, made straight from the parser's events.

No tree of nodes is built: a file of 10 MB has millions of them. An alias is the same object once more, so that it costs
nothing; what it stands for is counted, as it is written out later. A mapping's `<<` is what it is to Kubernetes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from tulle.sources.limits import DEEPEST, MOST_ALIASED, TOO_DEEP, Noted, Refused
from tulle.sources.places import Path, Place, line_of
from tulle.sources.problems import Severity
from tulle.sources.scalars import TAGS, BadScalar, key, plain, tagged
from tulle.sources.yaml_text import Fastest, fault

_MERGE = "<<"


class Built(NamedTuple):
    """A value, its place, how many values it has in it, and how deep they nest. line: where it is written."""

    value: Any
    place: Place
    size: int
    depth: int
    line: int


def yaml_values(text: str, first_line: int) -> Iterator[tuple[Any, Place, Noted]]:
    """The documents of a text that are not empty. first_line: of the text in its file. Raises Refused."""
    try:
        parser = Fastest(text)
    except yaml.YAMLError as error:
        raise _refused(error, text, first_line) from None
    next_event: Any = parser.get_event
    builder = _Builder(next_event, first_line)
    try:
        while True:
            event = next_event()
            if isinstance(event, yaml.StreamEndEvent):
                return
            if isinstance(event, yaml.DocumentStartEvent):
                event = next_event()
                noted = builder.begin()
                if (built := builder.build(event, (), 0)).value is not None:
                    yield built.value, built.place, noted
    except yaml.YAMLError as error:
        raise _refused(error, text, first_line) from None
    finally:
        parser.dispose()


def _refused(error: yaml.YAMLError, text: str, first_line: int) -> Refused:
    line, message = fault(error, text)
    if "maximum nesting depth" in message:  # the parser looks ahead, and has a limit of its own
        message = TOO_DEEP
    return Refused(line + first_line - 1, message)


class _Builder:
    def __init__(self, next_event: Any, first_line: int) -> None:
        self._next = next_event
        self._first_line = first_line
        self._noted = Noted()
        self._anchors: dict[str, Built | None] = {}  # None: not complete yet
        self._aliased = 0

    def begin(self) -> Noted:
        """A document, with what its problems will be noted in. Anchors end with their document."""
        self._noted = Noted()
        self._anchors = {}
        self._aliased = 0
        return self._noted

    def build(self, event: Any, path: Path, depth: int) -> Built:
        line = event.start_mark.line + self._first_line
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor), line, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            built = Built(self._scalar(event, path, line), line, 1, 0, line)
        elif depth >= DEEPEST:
            raise Refused(line, TOO_DEEP)
        else:
            collection = self._mapping if isinstance(event, yaml.MappingStartEvent) else self._sequence
            built = collection(event, path, depth, line)
        if event.anchor is not None:
            self._anchors[event.anchor] = built
        return built

    def _alias(self, name: str, line: int, depth: int) -> Built:
        if name not in self._anchors:
            raise Refused(line, f"there is no anchor &{name} before this *{name}")
        built = self._anchors[name]
        if built is None:
            raise Refused(line, f"*{name} stands within its own anchor &{name}, so that it has no end")
        self._aliased += built.size
        if self._aliased > MOST_ALIASED:
            raise Refused(line, f"its aliases stand for more than {MOST_ALIASED} values: write them out")
        if depth + built.depth > DEEPEST:
            raise Refused(line, TOO_DEEP)
        return built

    def _scalar(self, event: Any, path: Path, line: int) -> object:
        text: str = event.value
        try:
            if event.tag is not None:
                return tagged(text, event.tag)
            return plain(text) if event.implicit[0] else text
        except BadScalar as error:
            self._noted.note(line, path, f"it {error}")
            return text

    def _mapping(self, event: Any, path: Path, depth: int, line: int) -> Built:
        self._tag(event, path, line, "map")
        values: dict[str, Any] = {}
        places: dict[str, Place] = {}
        merged: list[Built] = []
        size, deepest = 1, 0
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            merging = isinstance(event, yaml.ScalarEvent) and event.value == _MERGE and event.implicit[0]
            at = event.start_mark.line + self._first_line
            name = _MERGE if merging else self._key(event, path, depth)
            below = (path, str(name))
            value = self.build(self._next(), below, depth + 1)
            size, deepest = size + value.size, max(deepest, value.depth)
            if merging:
                merged.append(value)
            elif name is None:
                self._noted.note(at, path, "a name must be a text")
            elif name in values:
                self._noted.note(at, below, f"it is given twice, first in line {line_of(places[name])}")
            else:
                values[name] = value.value
                places[name] = [at, value.place[1]] if isinstance(value.place, list) else at
        for value in merged:
            self._merge(value, path, values, places)
        return Built(values, [line, places], size, deepest + 1, line)

    def _key(self, event: Any, path: Path, depth: int) -> str | None:
        built = self.build(event, path, depth + 1)
        name = key(built.value)
        if isinstance(built.value, bool) and isinstance(event, yaml.ScalarEvent) and event.value != name:
            message = f'the name `{event.value}` is read as {name}, as Kubernetes does: "{event.value}" is a text'
            self._noted.note(built.line, path, message, Severity.WARNING)
        return name

    def _merge(self, built: Built, path: Path, values: dict[str, Any], places: dict[str, Place]) -> None:
        """What is written in the mapping itself wins, then what is merged first."""
        sources = built.value if isinstance(built.value, list) else [built.value]
        found = built.place[1] if isinstance(built.value, list) else [built.place]
        for source, place in zip(sources, found, strict=True):
            if not isinstance(source, dict):
                self._noted.note(built.line, path, f"{_MERGE} takes a mapping, or a list of them")
                continue
            for name, value in source.items():
                if name not in values:
                    values[name] = value
                    places[name] = place[1].get(name, built.line)

    def _sequence(self, event: Any, path: Path, depth: int, line: int) -> Built:
        self._tag(event, path, line, "seq")
        values: list[Any] = []
        places: list[Place] = []
        size, deepest = 1, 0
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            value = self.build(event, (path, len(values)), depth + 1)
            size, deepest = size + value.size, max(deepest, value.depth)
            values.append(value.value)
            places.append(value.place)
        return Built(values, [line, places], size, deepest + 1, line)

    def _tag(self, event: Any, path: Path, line: int, kind: str) -> None:
        if event.tag is not None and event.tag != "!" and TAGS.get(event.tag) != kind:
            self._noted.note(line, path, f"its tag {event.tag} means nothing here: leave it out")
