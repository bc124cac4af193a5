"""Prometheus' text format, read: of Envoy's answer fast, of a program's answer line by line.

The whole text of a series is a key, so that its labels are taken apart once; after that a sample costs a look-up. Of the text
only its hash is kept, 64 bits by a secret of this process: texts themselves would take most of the memory.
Source: Prometheus, "Exposition formats", text format 0.0.4.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from tulle.agent.figures.families import BOUNDS, BY_NAME, Family
from tulle.model.packed_tags import unpacked

PREFIX = "envoy_"
MESSAGES = "messages"  # the tag, as translate/telemetry/metrics.py writes it
_MOST_KNOWN = 100_000  # what is new beyond is not read
_PART_BYTES = 256 * 1024
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)')
_ESCAPED = re.compile(r"\\(.)")
_PLAIN = {"n": "\n", "\\": "\\", '"': '"'}
_PLACES = {bound: place for place, bound in enumerate(BOUNDS, 1)}

F = TypeVar("F", bound=Hashable)


class Series(Generic[F]):
    """One of Envoy's, in one of its processes. flow: what `meaning` made of its tags. values: as `Family` orders them.

    times: how much each one that Envoy has counted is.
    """

    __slots__ = ("_before", "_times", "family", "flow", "is_read", "values")

    def __init__(self, family: Family, flow: F, times: int = 1) -> None:
        self._times = times
        self.family = family
        self.flow = flow
        self.is_read = False
        self.values = [0.0] * family.size
        self._before = [0.0] * family.size

    def grown(self) -> list[float] | None:
        """By how much since it was asked last; None for nothing. Where one value has fallen, all have begun anew."""
        if self.values == self._before:
            return None
        pairs = list(zip(self.values, self._before, strict=True))
        grown = (
            self.values[:] if any(now < before for now, before in pairs) else [now - before for now, before in pairs]
        )
        self._before = self.values[:]
        return grown if self._times == 1 else [each * self._times for each in grown]

    def vanish(self) -> None:
        """Envoy has dropped it. If it comes back it begins anew."""
        self.values = [0.0] * self.family.size
        self._before = self.values[:]


class Reader(Generic[F]):
    """Of one process of Envoy. meaning: of a series' family and tags; None if nothing is to be made of them."""

    def __init__(self, meaning: Callable[[Family, Mapping[str, str]], F | None]) -> None:
        self._meaning = meaning
        self._known: dict[int, tuple[Series[F], int] | None] = {}
        self._series: dict[tuple[str, str], Series[F] | None] = {}
        self._read: list[Series[F]] = []
        self._last: list[Series[F]] = []

    def read(self, lines: Iterable[str]) -> None:
        """A part of a reading. Lines that are no samples of Istio's metrics are passed over."""
        known, read = self._known, self._read
        for line in lines:
            key, _, number = line.rpartition(" ")
            digest = hash(key)
            try:
                place = known[digest]
            except KeyError:
                if not key or line[0] == "#" or len(known) >= _MOST_KNOWN:
                    continue
                place = known[digest] = self._place(key)
            if place is None:
                continue
            series, at = place
            try:
                series.values[at] = float(number)
            except ValueError:
                continue
            if not series.is_read:
                series.is_read = True
                read.append(series)

    def finish(self) -> list[Series[F]]:
        """The whole reading. What was in the last one and is not in this is taken to have gone."""
        read, self._read = self._read, []
        for series in self._last:
            if not series.is_read:
                series.vanish()
        if len(self._series) > 2 * len(read) + 100:  # most of them have gone
            self._series = {key: series for key, series in self._series.items() if series and series.is_read}
            self._known = {key: place for key, place in self._known.items() if place and place[0].is_read}
        for series in read:
            series.is_read = False
        self._last = read
        return read

    def _place(self, key: str) -> tuple[Series[F], int] | None:
        name, brace, labels = key.partition("{")
        if not name.startswith(PREFIX) or not brace or not labels.endswith("}"):
            return None
        name, labels, place = name.removeprefix(PREFIX), labels[:-1], 0
        if name not in BY_NAME:
            name, _, part = name.rpartition("_")
            if part == "bucket":
                labels, _, bound = labels.rpartition(',le="')
                place = _PLACES.get(bound.removesuffix('"'), -1)
            elif part != "sum":
                return None  # a count is its last bucket
        family = BY_NAME.get(name)
        if family is None or not 0 <= place < family.size:
            return None
        identity = (name, labels)
        if identity not in self._series:
            read = labels_in(labels)
            tags = None if read is None else unpacked(read)
            flow = None if tags is None else self._meaning(family, tags)
            self._series[identity] = (
                None if flow is None or tags is None else Series(family, flow, _times(family, tags))
            )
        series = self._series[identity]
        return None if series is None else (series, place)


def _times(family: Family, tags: Mapping[str, str]) -> int:
    """Envoy counts requests of gRPC by how many messages they and their responses had: `1,3`."""
    if family.part is None or MESSAGES not in tags:
        return 1
    numbers = tags[MESSAGES].split(",")
    return int(numbers[family.part]) if len(numbers) == 2 and all(map(str.isdecimal, numbers)) else 0


def labels_in(text: str) -> dict[str, str] | None:
    """What stands between the braces of a sample; None if that is not well-formed."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _LABEL.match(text, at)
        if match is None or match[1] in found:
            return None
        found[match[1]] = unescaped(match[2])
        at = match.end()
    return found


def unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: _PLAIN.get(found[1], found[0]), text) if "\\" in text else text


def escaped(text: str) -> str:
    """As a label's value."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def lines_of(text: bytes) -> Iterator[list[str]]:
    """In parts, so that whoever reads can let others work in between, and has no second copy of all of it."""
    start = 0
    while start < len(text):
        end = text.find(b"\n", start + _PART_BYTES) + 1 or len(text)
        yield text[start:end].decode(errors="replace").removesuffix("\n").split("\n")
        start = end
