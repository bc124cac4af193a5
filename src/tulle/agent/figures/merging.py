"""A program's own metrics, made fit to follow ours on one page.

What it says in OpenMetrics, although it was asked for the older text format, is written in that. A metric of which ours has the
name is left out: a page with a name in two places is none.
Source: Prometheus, "Exposition formats"; OpenMetrics 1.0, text format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from tulle.agent.figures.exposition import labels_in

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_SAMPLE = re.compile(
    rf'({_NAME})(?:\{{((?:[^"}}]|"(?:[^"\\]|\\.)*")*)\}})?[ \t]+(\S+)(?:[ \t]+(-?[0-9.eE+]+))?(?:[ \t]+(#.*))?'
)
# As Go reads them, which takes fewer than float() does; one that it does not take spoils the page.
_VALUE = re.compile(r"[+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE)
_MILLISECONDS = re.compile(r"-?\d{1,18}", re.ASCII)
_TOLD = re.compile(rf"#[ \t]+(HELP|TYPE|UNIT)[ \t]+({_NAME})(?:[ \t]+(.*))?")
_KINDS = ("counter", "gauge", "histogram", "summary", "untyped")
_OPEN_KINDS = {"info": "gauge", "stateset": "gauge", "gaugehistogram": "untyped", "unknown": "untyped"}
_PARTS = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
_OPEN_SUFFIXES = {"counter": "_total", "info": "_info"}


class NoExposition(ValueError):
    """The text is none of metrics."""


class Merged:
    """is_ours: whether a metric of that name is on the page already. is_open: whether the text is in OpenMetrics."""

    def __init__(self, is_ours: Callable[[str], bool], *, is_open: bool = False) -> None:
        self._is_ours = is_ours
        self._is_open = is_open
        self._kinds: dict[str, str] = {}
        self._told: set[tuple[str, str]] = set()
        self.lines: list[str] = []
        self.left_out: set[str] = set()

    def take(self, lines: Iterable[str]) -> None:
        """A part of the text. Raises NoExposition."""
        for line in lines:
            stripped = line.strip(" \t\r")
            if not stripped:
                continue
            if "\0" in stripped:
                raise NoExposition(f"no text: {stripped[:80]!r}")
            taken = self._comment(stripped) if stripped[0] == "#" else self._sample(stripped)
            if taken:
                self.lines.append(taken)

    def _comment(self, line: str) -> str:
        found = _TOLD.fullmatch(line)
        if found is None or found[1] == "UNIT":
            return ""
        what, name, text = found[1], found[2], found[3] or ""
        if what == "TYPE":
            kind = text.strip()
            if self._is_open:
                name += _suffix(kind, name)
                kind = _OPEN_KINDS.get(kind, kind)
            if kind not in _KINDS:
                raise NoExposition(f"{name} is of no known type: {kind[:40]}")
            self._kinds[name] = text = kind
        elif self._is_open:
            return ""  # of what name, only the type tells, which comes before it or after it
        if self._left_out(name) or (what, name) in self._told:
            return ""
        self._told.add((what, name))
        return f"# {what} {name} {text}"

    def _sample(self, line: str) -> str:
        found = _SAMPLE.fullmatch(line)
        if found is None or (found[5] and not self._is_open):
            raise NoExposition(f"no sample: {line[:80]}")
        name, labels, value, time = found[1], found[2] or "", found[3], found[4]
        if not _VALUE.fullmatch(value):
            raise NoExposition(f"no value: {line[:80]}")
        if time and not self._is_open and not _MILLISECONDS.fullmatch(time):
            raise NoExposition(f"no time: {line[:80]}")
        if labels_in(labels.strip(" ,").replace(", ", ",")) is None:
            raise NoExposition(f"no labels: {line[:80]}")
        if self._left_out(self._metric(name)) or (self._is_open and name.endswith("_created")):
            return ""
        if self._is_open:  # its times are in seconds
            return f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"
        return f"{name}{{{labels}}} {value}{f' {time}' if time else ''}" if labels else line

    def _metric(self, name: str) -> str:
        if name in self._kinds:
            return name
        for kind, parts in _PARTS.items():
            for part in parts:
                if name.endswith(part) and self._kinds.get(name.removesuffix(part)) == kind:
                    return name.removesuffix(part)
        return name

    def _left_out(self, name: str) -> bool:
        if self._is_ours(name):
            self.left_out.add(name)
            return True
        return False


def _suffix(kind: str, name: str) -> str:
    suffix = _OPEN_SUFFIXES.get(kind, "")
    return "" if name.endswith(suffix) else suffix
