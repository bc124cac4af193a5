"""YAML as users write it, each value with its line, and all that is wrong with it at once.

A reader asks a `Value` for what it should be; what it is not is noted, so that one run tells all mistakes. Plain
words mean what YAML 1.2's core schema says: `true` is a boolean, `on`, `yes` and `no` are text, `0755` is no octal
number (https://yaml.org/spec/1.2.2/#103-core-schema). What fields there are is for others to say.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import yaml

from tulle.sources.yaml_text import Fastest, fault, nearest

__all__ = ["Mistake", "Mistakes", "Value", "document", "nearest"]

_LONG = 20  # digits, more than which no number of ours has
_TAG = "tag:yaml.org,2002:"
_NULL, _BOOL, _INT, _FLOAT, _TEXT = (_TAG + kind for kind in ("null", "bool", "int", "float", "str"))
_KINDS = {_NULL: "nothing", _BOOL: "a boolean", _INT: "a number", _FLOAT: "a number", _TEXT: "a text"}


class _Core(Fastest):
    """The core schema of YAML 1.2 in place of PyYAML's 1.1."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  as PyYAML has it


for _tag, _pattern, _first in (
    (_NULL, r"(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    (_BOOL, r"(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    (_INT, r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    (_FLOAT, r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", list("-+.0123456789")),
):
    _Core.add_implicit_resolver(_tag, re.compile(_pattern), _first)


@dataclass(frozen=True, order=True)
class Mistake:
    """field: the way to it, such as `services.web.port`; empty if the file as a whole is meant."""

    file: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {f'{self.field}: ' if self.field else ''}{self.message}"


@dataclass
class Mistakes:
    """What is wrong with one file, as far as it was read."""

    file: str
    found: list[Mistake] = field(default_factory=list)

    def note(self, line: int, field: str, message: str) -> None:
        self.found.append(Mistake(self.file, line, field, message))


def document(text: str, mistakes: Mistakes) -> Value | None:
    """The one document of a file; None if it is no YAML, or empty, which is noted."""
    try:
        node = yaml.compose(text, Loader=_Core)
    except yaml.YAMLError as error:
        line, message = fault(error, text)
        mistakes.note(line, "", message)
        return None
    if node is None:
        mistakes.note(1, "", "the file is empty")
        return None
    return Value(node, "", 1, mistakes)


@dataclass(frozen=True)
class Value:
    """One value of a document. Each of its readings returns None, or nothing, after noting what is wrong.

    line: where it begins; in a mapping that is where its name stands.
    """

    node: Any
    at: str
    line: int
    mistakes: Mistakes

    @property
    def is_list(self) -> bool:
        return isinstance(self.node, yaml.SequenceNode)

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.node, yaml.MappingNode)

    @property
    def is_null(self) -> bool:
        return bool(self.node.tag == _NULL)

    def wrong(self, message: str) -> None:
        self.mistakes.note(self.line, self.at, message)

    def fields(self, known: Collection[str]) -> dict[str, Value]:
        """A mapping's values, all of whose keys are known."""
        values = self.entries()
        for name, value in list(values.items()):
            if name not in known:
                value.wrong(f"there is no such field; {nearest(name, known)}")
                del values[name]
        return values

    def entries(self) -> dict[str, Value]:
        """A mapping's values, whatever its keys are."""
        if not self.is_mapping:
            self.wrong(f"write a mapping, NAME: VALUE; here is {self._kind}")
            return {}
        values: dict[str, Value] = {}
        for key, node in self.node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.mistakes.note(key.start_mark.line + 1, self.at, "a name must be a text")
                continue
            line = key.start_mark.line + 1
            value = Value(node, f"{self.at}.{key.value}" if self.at else key.value, line, self.mistakes)
            if key.value in values:
                self.mistakes.note(line, value.at, f"it is given twice, first in line {values[key.value].line}")
                continue
            values[key.value] = value
        return values

    def items(self) -> list[Value]:
        """A list's values; one that is no list stands for a list of itself."""
        if not self.is_list:
            return [self]
        return [
            Value(node, f"{self.at}[{index}]", node.start_mark.line + 1, self.mistakes)
            for index, node in enumerate(self.node.value)
        ]

    def text(self) -> str | None:
        """A text, or a number or boolean as it is written."""
        if not isinstance(self.node, yaml.ScalarNode) or self.is_null:
            self.wrong('write a text; an empty one is ""' if self.is_null else f"write a text; here is {self._kind}")
            return None
        text = str(self.node.value)
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            self.wrong("it has a character that no program can be given")
            return None
        return text

    def integer(self, least: int, most: int) -> int | None:
        text = str(self.node.value)
        if (
            self.node.tag == _INT
            and len(text) < _LONG
            and least <= (number := int(text, 0 if text[1:2] in ("o", "x") else 10)) <= most
        ):
            return number
        self.wrong(f"write a number from {least} to {most}{self._instead}")
        return None

    def boolean(self) -> bool | None:
        if self.node.tag == _BOOL:
            return bool(self.node.value.lower() == "true")
        self.wrong(f"write true or false{self._instead}")
        return None

    @property
    def _kind(self) -> str:
        if isinstance(self.node, yaml.ScalarNode):
            return _KINDS.get(self.node.tag, "a text")
        return "a list" if self.is_list else "a mapping"

    @property
    def _instead(self) -> str:
        return f", not {self.node.value}" if isinstance(self.node, yaml.ScalarNode) else f"; here is {self._kind}"
